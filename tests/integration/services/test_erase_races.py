"""What is under way while it is erased does not bring it back: uploads, ingest, chunks, exports, requests."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pipeline.core.retention import Kind
from pipeline.db.backups import keeping_objects
from pipeline.db.chunks import claim_chunk, commit_chunk
from pipeline.db.engine import transaction
from pipeline.db.frames import encode_frames
from pipeline.errors import LeaseLost, NotFound, PoselineError, ServiceUnavailable, UnknownTeam, UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.bulk_ingest import ingest_all
from pipeline.services.checked_reader import CheckedReader
from pipeline.services.erase.check import check_erasures
from pipeline.services.erase.targets import begin_erasure, find_asked
from pipeline.services.erase.work import go_on
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.plan import plan_runs
from pipeline.services.registration import Registration
from pipeline.services.request import request_run
from pipeline.services.retention import set_retention
from pipeline.services.retention_sweep import run_retention
from pipeline.services.submit import submit_video
from pipeline.services.system import System
from pipeline.services.take_in import Intake
from pipeline.services.teams import list_teams
from pipeline.services.to_take_in import Item
from pipeline.services.upload import upload_file
from pipeline.settings import Settings
from pipeline.storage.objects import ObjectStore
from pipeline.storage.s3_client import PART_BYTES
from tests.support.erased import erase, is_gone, receipt
from tests.support.fail_points import OPERATIONS, made_up
from tests.support.harness import ask, cut, processes, sql, wait_done, wait_until
from tests.support.kept import FRAMES, age, done_run, keys, requested_run, stored_video
from tests.support.paths import DEMO_CLIP


@contextmanager
def at(
    owner: Any, name: str, monkeypatch: pytest.MonkeyPatch, call: int = 1
) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold the first call of a method, or a later one, before it does anything: one event says that it was called, one
    lets it go on."""
    reached, go = threading.Event(), threading.Event()
    real, calls = getattr(owner, name), itertools.count(1)

    def held(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            reached.set()
            assert go.wait(30)
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, held)
    try:
        yield reached, go
    finally:
        go.set()


def beside(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Start something in a thread; the list has what it raises."""
    raised: list[BaseException] = []

    def call() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    return thread, raised


def test_an_export_that_is_being_stored_is_removed_again(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id = stored_video(system)
    run_id = requested_run(system, video_id)
    for operation in ("plan", "claim and commit"):
        OPERATIONS[operation](system, run_id)
    with at(ObjectStore, "put_stream", monkeypatch) as (reached, go):
        thread, raised = beside(lambda: finish_run(system, run_id, "w"))
        assert reached.wait(30)
        erase(system, str(video_id))
        go.set()
        thread.join(30)
    assert raised == []  # the lease is lost, silently
    assert is_gone(system, video_id, run_id)


def test_a_chunk_that_is_being_analysed_commits_nothing(system: System) -> None:
    video_id = stored_video(system)
    run_id = requested_run(system, video_id)
    OPERATIONS["plan"](system, run_id)
    with transaction(system.engine) as connection:
        claimed = claim_chunk(connection, run_id, 0, "w", 60)
    assert claimed is not None
    pieces = list(encode_frames(run_id, 0, [made_up(number) for number in range(FRAMES)]))
    erase(system, str(video_id))
    with pytest.raises(LeaseLost), transaction(system.engine) as connection:
        commit_chunk(connection, claimed, pieces)
    assert is_gone(system, video_id, run_id)


def test_a_commit_that_is_under_way_is_waited_for_and_erased(system: System) -> None:
    video_id = stored_video(system)
    run_id = requested_run(system, video_id)
    OPERATIONS["plan"](system, run_id)
    with transaction(system.engine) as connection:
        claimed = claim_chunk(connection, run_id, 0, "w", 60)
    assert claimed is not None
    pieces = list(encode_frames(run_id, 0, [made_up(number) for number in range(FRAMES)]))
    with transaction(system.engine) as connection:
        commit_chunk(connection, claimed, pieces)
        thread, raised = beside(lambda: erase(system, str(video_id)))
        wait_until(lambda: sql(system, "SELECT count(*) FROM pg_locks WHERE NOT granted") != [(0,)], 10)
    thread.join(30)
    assert raised == []
    assert is_gone(system, video_id, run_id)


def test_a_video_that_is_being_ingested_does_not_come_back(
    system: System, short_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = upload_file(system, short_clip, "team").video.id
    request_run(system, video_id, BUNDLED_MODEL)
    with at(ObjectStore, "iter_whole", monkeypatch) as (reached, go):
        thread, raised = beside(lambda: ingest_video(system, video_id, "w"))
        assert reached.wait(30)
        erase(system, str(video_id))
        go.set()
        thread.join(30)
    assert all(isinstance(error, PoselineError) for error in raised)
    assert is_gone(system, video_id)
    assert sql(system, "SELECT 1 FROM video") == []


@pytest.fixture
def large(tmp_path: Path, short_clip: Path) -> Path:
    """A video that is uploaded in parts."""
    path = tmp_path / "large.mp4"
    path.write_bytes(short_clip.read_bytes() + b"\0\0\0\0" * (PART_BYTES // 2))
    return path


@pytest.mark.parametrize(
    ("held", "scope"),
    [
        ((ObjectStore, "put_stream", 1), "video"),
        ((ObjectStore, "put_stream", 1), "team"),
        ((CheckedReader, "read", 3), "video"),
        ((ObjectStore, "head", 1), "video"),
    ],
    ids=["before the first part", "before the first part, of a team", "between two parts", "complete, but not noted"],
)
def test_a_client_that_goes_on_uploading_leaves_nothing(
    system: System, large: Path, monkeypatch: pytest.MonkeyPatch, held: tuple[Any, str, int], scope: str
) -> None:
    owner, name, call = held
    with at(owner, name, monkeypatch, call) as (reached, go):
        thread, raised = beside(lambda: submit_video(system, str(large), "team", BUNDLED_MODEL))
        assert reached.wait(30)
        [(video_id, key)] = sql(system, "SELECT id, object_key FROM video WHERE state = 'uploading'")
        if name == "read":
            wait_until(lambda: system.store.versions.find(system.store.bucket, str(key)).uploads, 20, "its parts")
        erasure_id = erase(system, "large.mp4") if scope == "video" else erase(system, team="team")
        go.set()
        thread.join(60)
    assert [isinstance(error, NotFound | UnknownTeam | ServiceUnavailable) for error in raised] == [True]
    assert is_gone(system, UUID(str(video_id)))
    assert bool(receipt(system, erasure_id)["objects"]["uploads"]) is (name == "read")
    assert check_erasures(system, [erasure_id])[0].good
    assert bool(list_teams(system)) is (scope == "video"), "a team that was erased is not made anew"


def test_a_command_does_not_begin_an_upload_again_that_was_erased(
    system: System, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[object] = []

    def ingest() -> None:
        ingest_all(
            Intake(system, Registration(system, None)),
            [Item(str(large), "team", size_bytes=large.stat().st_size)],
            jobs=1,
            on_begin=lambda _: None,
            on_bytes=lambda _: None,
            on_end=lambda _, result: ended.append(result),
        )

    with at(CheckedReader, "read", monkeypatch, 3) as (reached, go):
        thread, raised = beside(ingest)
        assert reached.wait(30)
        [(key,)] = sql(system, "SELECT object_key FROM video WHERE state = 'uploading'")
        wait_until(lambda: system.store.versions.find(system.store.bucket, str(key)).uploads, 20, "its parts")
        erase(system, "large.mp4")
        go.set()
        thread.join(60)
    assert raised == []
    assert [type(each) for each in ended] == [NotFound], ended
    assert sql(system, "SELECT 1 FROM video") == []


def test_a_team_that_is_being_erased_takes_nothing_in(system: System, short_clip: Path) -> None:
    stored_video(system)
    begin_erasure(system, find_asked(system, [], team="team", tags={}), "a test")
    with pytest.raises(UnknownTeam, match="is being erased"):
        upload_file(system, short_clip, "team")


def test_an_upload_again_of_a_video_that_is_erased_meanwhile_leaves_nothing(
    system: System, short_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = upload_file(system, short_clip, "team").video
    assert video.source is not None
    system.store.delete(video.source.key)
    with at(ObjectStore, "put_file", monkeypatch) as (reached, go):
        thread, raised = beside(lambda: upload_file(system, short_clip, "team"))
        assert reached.wait(30)
        erase(system, str(video.id))
        go.set()
        thread.join(30)
    assert [type(error) for error in raised] == [NotFound]
    assert is_gone(system, video.id)


def test_a_run_that_comes_in_meanwhile_goes_too(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requested between the look at the video's runs and the lock on its row."""
    from pipeline.services.erase import work  # noqa: PLC0415

    video_id = stored_video(system)
    with at(work, "delete_video", monkeypatch) as (reached, go):
        thread, raised = beside(lambda: erase(system, str(video_id)))
        assert reached.wait(30)
        run_id = requested_run(system, video_id)
        with transaction(system.engine) as connection:
            plan_runs(connection, system.settings, video_id)
        go.set()
        thread.join(30)
    assert raised == []
    assert is_gone(system, video_id, run_id)


def test_two_may_go_on_with_the_same_erasure(system: System) -> None:
    videos = [stored_video(system, f"{n}.mp4", team="club") for n in range(6)]
    runs = [done_run(system, each) for each in videos]
    erasure_id = begin_erasure(system, find_asked(system, [], team="club", tags={}), "a test")
    threads = [beside(lambda: go_on(system, erasure_id)) for _ in range(3)]
    for thread, raised in threads:
        thread.join(60)
        assert raised == []
    got = receipt(system, erasure_id)
    assert (got["rows"]["videos"], got["rows"]["frames"], got["objects"]["versions"]) == (6, 6 * FRAMES, 12)
    assert all(is_gone(system, *pair) for pair in zip(videos, runs, strict=True))
    with suppress(UsageError):
        find_asked(system, [], team="club", tags={})


def test_a_backup_that_is_being_made_keeps_objects_until_it_has_ended(system: System) -> None:
    video_id, old = stored_video(system), stored_video(system, "old.mp4")
    age(system, "video", "original_at", old, 2)
    set_retention(system, "team", Kind.ORIGINALS, 1)
    with keeping_objects(system.engine):
        thread, raised = beside(lambda: erase(system, str(video_id)))
        wait_until(lambda: not sql(system, "SELECT 1 FROM video WHERE id = :id", id=video_id), 20)
        with pytest.raises(ServiceUnavailable, match="a backup is being made"):
            run_retention(system)
        assert len(keys(system, video_id, old)) == 2
    thread.join(30)
    assert raised == []
    assert is_gone(system, video_id)
    assert list(run_retention(system).values()) == [1]


def test_a_worker_drops_what_is_erased_and_goes_on(
    system: System, settings: Settings, short_clip: Path, tmp_path: Path
) -> None:
    other = cut(DEMO_CLIP, tmp_path / "other.mp4", 20)
    with processes(settings, tmp_path / "logs") as running:
        running.worker("--slots", "2")
        running.start("beat")
        run_id = ask(system, short_clip)
        wait_until(lambda: sql(system, "SELECT 1 FROM chunk WHERE state = 'done'"), 60, "its first poses")
        [(video_id,)] = sql(system, "SELECT id FROM video")
        erasure_id = erase(system, str(video_id))
        wait_done(system, ask(system, other))
        assert is_gone(system, UUID(str(video_id)), run_id)
        assert check_erasures(system, [erasure_id])[0].good
        assert running.count("Traceback") == 0
