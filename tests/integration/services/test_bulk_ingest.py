"""Servers that go away while many videos are taken in."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from pipeline.errors import PoselineError, ServiceUnavailable
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.zoo import find_model
from pipeline.services import bulk_ingest, take_in
from pipeline.services.bulk_ingest import ingest_all
from pipeline.services.registration import Registration
from pipeline.services.system import System
from pipeline.services.take_in import Intake
from pipeline.services.to_take_in import Item, TakenIn
from pipeline.storage.objects import ObjectStore
from pipeline.video.source import FileSource
from tests.conftest import admin_url
from tests.support.harness import sql, wait_until
from tests.support.video_maker import make_video


class Taking:
    """Takes in three videos in a thread, two at once."""

    def __init__(self, system: System, folder: Path) -> None:
        model = find_model(BUNDLED_MODEL, system.settings.models_path)
        self._intake = Intake(system, Registration(system, model))
        paths = [make_video(folder / f"{number}.mp4", 5 + number) for number in range(3)]
        self._items = [Item(str(path), "team", size_bytes=path.stat().st_size) for path in paths]
        self.bytes = 0
        self.ended: list[TakenIn | PoselineError] = []
        self.not_tried = -1
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()

    @property
    def total_bytes(self) -> int:
        return sum(item.size_bytes for item in self._items)

    def _run(self) -> None:
        def on_bytes(count: int) -> None:
            self.bytes += count

        self.not_tried = ingest_all(
            self._intake,
            iter(self._items),
            jobs=2,
            on_begin=lambda _: None,
            on_bytes=on_bytes,
            on_end=lambda _, result: self.ended.append(result),
        )


@contextmanager
def postgres_away(home: Path, system: System) -> Iterator[None]:
    """Postgres closes the connections to the test's database, and refuses new ones."""
    name = system.engine.url.database
    assert name is not None
    allow = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(admin_url(home), autocommit=True) as connection:
        connection.execute(allow.format(Identifier(name), SQL("false")))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            connection.execute(allow.format(Identifier(name), SQL("true")))


def test_a_server_that_comes_back_costs_only_seconds(
    servers: Path, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[None] = []
    ask = take_in.check_servers
    monkeypatch.setattr(take_in, "check_servers", lambda system: asked.append(None) or ask(system))
    monkeypatch.setattr(bulk_ingest, "_ASK_AGAIN_S", 0.1)
    taking = Taking(system, tmp_path)
    with postgres_away(servers, system):
        taking.start()
        wait_until(lambda: len(asked) >= 3, 30, "the servers to be asked for again")
    taking.join()
    assert all(isinstance(result, TakenIn) for result in taking.ended), taking.ended
    assert (len(taking.ended), taking.not_tried, taking.bytes) == (3, 0, taking.total_bytes)
    assert sql(system, "SELECT count(*) FROM run JOIN video ON video.id = video_id WHERE video.state = 'stored'") == [
        (3,)
    ]


def test_what_an_outage_broke_off_is_removed_when_the_server_is_back(
    servers: Path, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[None] = []
    ask, put = take_in.check_servers, ObjectStore.put_stream
    first, away = threading.Lock(), ExitStack()

    def put_stream(self: ObjectStore, *args: Any) -> Any:
        if first.acquire(blocking=False):
            away.enter_context(postgres_away(servers, system))
            raise ServiceUnavailable("the object store does not answer")
        return put(self, *args)

    monkeypatch.setattr(ObjectStore, "put_stream", put_stream)
    monkeypatch.setattr(take_in, "check_servers", lambda system: asked.append(None) or ask(system))
    monkeypatch.setattr(bulk_ingest, "_ASK_AGAIN_S", 0.1)
    taking = Taking(system, tmp_path)
    with away:
        taking.start()
        wait_until(lambda: len(asked) >= 3, 30, "the servers to be asked for again")
    taking.join()
    assert [type(result) for result in taking.ended] == [TakenIn] * 3, taking.ended
    assert sql(system, "SELECT state, count(*) FROM video GROUP BY 1") == [("stored", 3)]


def test_a_server_that_stays_away_ends_the_command_after_one_failure(
    servers: Path, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_ingest, "_ASK_AGAIN_S", 0.1)
    monkeypatch.setattr(bulk_ingest, "OUTAGE_S", 0.3)
    taking = Taking(system, tmp_path)
    with postgres_away(servers, system):
        taking.start()
        taking.join()
    [error] = taking.ended
    assert isinstance(error, ServiceUnavailable)
    assert taking.not_tried == 2
    assert sql(system, "SELECT 1 FROM video") == []


def test_a_file_that_breaks_does_not_stop_the_others(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = take_in.check

    def broken(source: FileSource, *args: object, **more: object) -> object:
        if source.size_bytes == smallest:
            raise OSError(errno.EIO, "Input/output error")
        return check(source, *args, **more)  # type: ignore[arg-type]

    taking = Taking(system, tmp_path)
    smallest = min(path.stat().st_size for path in tmp_path.glob("*.mp4"))
    monkeypatch.setattr(take_in, "check", broken)
    taking.start()
    taking.join()
    failed = [result for result in taking.ended if not isinstance(result, TakenIn)]
    assert [str(error) for error in failed] == ["unexpected OSError: [Errno 5] Input/output error"]
    assert (len(taking.ended), taking.not_tried, taking.bytes) == (3, 0, taking.total_bytes)
    assert sql(system, "SELECT state FROM video") == [("stored",)] * 2
