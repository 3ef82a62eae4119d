"""Back-pressure: near a limit nothing more is taken in, everyone is told why, and it goes on by itself."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.cli.main import main
from pipeline.core.progress import Silent
from pipeline.db.engine import transaction
from pipeline.db.pressure import CURRENT_S, database_bytes, ingest_paused, stored_bytes
from pipeline.db.workers import DeviceRow, report_worker
from pipeline.errors import ServiceUnavailable, StoreFull, is_outage
from pipeline.services import pressure
from pipeline.services.pressure import describe_full_disk, list_pressure, watch_pressure
from pipeline.services.runs import get_run
from pipeline.services.system import System
from pipeline.services.upload import upload_file
from pipeline.settings import Settings
from tests.conftest import opened
from tests.support.analysis import MODEL, put_model
from tests.support.commands import printed
from tests.support.harness import ask, processes, sql, wait_until


class Heard(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, message: str, /) -> None:
        self.lines.append(message)


def paused(system: System) -> str | None:
    with transaction(system.engine) as connection:
        return ingest_paused(connection)


def look(system: System, **limits: object) -> str | None:
    """What a tick with these settings finds."""
    with opened(system.settings.model_copy(update=limits)) as limited:
        watch_pressure(limited)
    return paused(system)


@pytest.mark.parametrize("part", ["store", "database"])
def test_near_its_limit_a_part_pauses_until_it_has_clearly_more_room(
    system: System, short_clip: Path, part: str
) -> None:
    upload_file(system, short_clip, "team")
    with transaction(system.engine) as connection:
        used = (stored_bytes if part == "store" else database_bytes)(connection)
    limit = f"{part}_max_bytes"
    assert used > 0
    assert look(system, **{limit: int(used / 0.94)}) is None
    reason = look(system, **{limit: int(used / 0.96)})
    assert reason is not None
    assert f"POSELINE_{part.upper()}_MAX_BYTES" in reason
    since = sql(system, "SELECT since FROM pressure")
    assert look(system, **{limit: int(used / 0.92)}) is not None, "it goes to and fro"
    assert sql(system, "SELECT since FROM pressure") == since
    assert look(system, **{limit: int(used / 0.88)}) is None
    assert look(system, **{limit: int(used / 0.92)}) is None
    assert look(system) is None


def test_what_nobody_saw_for_a_minute_holds_nobody_back(system: System, short_clip: Path) -> None:
    assert look(system, database_max_bytes=1) is not None
    sql(system, f"UPDATE pressure SET seen_at = now() - interval '{CURRENT_S + 1} s'")  # as where no tick runs
    assert paused(system) is None
    upload_file(system, short_clip, "team")


def test_a_database_without_room_is_an_outage_and_says_so(system: System) -> None:
    full = 'could not extend file "base/1/2": No space left on device'
    raising = f"DO $$ BEGIN RAISE EXCEPTION '{full}' USING ERRCODE = 'disk_full'; END $$"
    with pytest.raises(ServiceUnavailable, match=r"Postgres has no room .*: make room on its disk") as raised:
        sql(system, raising)
    assert is_outage(raised.value)


def test_one_worker_with_room_for_scratch_files_is_enough(system: System) -> None:
    def report(name: str, disk_low: str) -> None:
        with transaction(system.engine) as connection:
            computes = DeviceRow("a chip", "a provider")
            report_worker(connection, name=name, pid=1, slots=2, version="1", computes=computes, disk_low=disk_low)

    report("a", "only 3 KiB free at /scratch")
    assert look(system) == "a has only 3 KiB free at /scratch"
    report("b", "")
    assert look(system) is None
    sql(system, "UPDATE worker SET draining_at = now() WHERE name = 'b'")
    assert look(system) is not None
    sql(system, "DELETE FROM worker")
    assert look(system) is None, "no worker, no disk"


def test_a_disk_has_to_have_clearly_more_room_again(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    folder = tmp_path / "not made yet"
    assert describe_full_disk(folder, free // 2, was_low=True) == ""
    assert f"free at {folder}: make room, or lower POSELINE_DISK_MIN_BYTES" in describe_full_disk(
        folder, free * 2, was_low=False
    )
    just_enough = int(free / 1.1)
    assert describe_full_disk(folder, just_enough, was_low=False) == ""
    assert describe_full_disk(folder, just_enough, was_low=True) != ""


def test_an_upload_waits_politely_says_why_once_and_goes_on_by_itself(
    system: System, short_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.services.pressure._POLL_S", 0.05)
    assert look(system, database_max_bytes=1) is not None
    heard = Heard()
    looked: list[System] = []
    monkeypatch.setattr(pressure, "list_pressure", lambda system: looked.append(system) or list_pressure(system))
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(upload_file, system, short_clip, "team", progress=heard)
        wait_until(lambda: heard.lines, 30, "a line that says why")
        assert sql(system, "SELECT state FROM video") == [], "it looks as if its bytes were under way"
        assert not upload.done()
        look(system, database_max_bytes=2)  # the same, with another figure
        before = len(looked)
        wait_until(lambda: len(looked) > before + 1, 30, "the upload to look again")
        look(system)
        assert not upload.result(60).existed
    [line] = heard.lines
    assert line.startswith("waiting to upload, and going on by itself when there is room: ")
    assert "POSELINE_DATABASE_MAX_BYTES" in line
    look(system, database_max_bytes=1)
    assert upload_file(system, short_clip, "team").existed, "what is known needs no room"


def test_objects_are_registered_while_there_is_no_room_and_who_names_them_is_told_that_they_wait(
    configured: Settings, system: System, short_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_model(system.settings.models_path)
    for number in range(3):
        system.store.put_file(short_clip, f"night/{number}.mp4")
    assert look(system, database_max_bytes=1) is not None
    assert main(["ingest", f"s3://{system.store.bucket}/night/", "--model", MODEL, "--tag", "a=b"]) == 0
    err = capsys.readouterr().err
    assert err.count("registered objects wait to be read until there is room: the database takes") == 1
    assert sql(system, "SELECT state, queued_at FROM video") == [("stored", None)] * 3, "one was sent to a worker"
    assert main(["show", str(sql(system, "SELECT id FROM run")[0][0])]) == 0
    assert "blocked videos wait to be taken in until there is room: the database takes" in capsys.readouterr().out
    assert main(["ingest", f"s3://{system.store.bucket}/night/", "--model", MODEL]) == 0
    assert "until there is room" not in capsys.readouterr().err, "these were registered before"


@contextmanager
def full_store() -> Iterator[tuple[str, list[str]]]:
    """An object store in front of the real one that has no room for objects; its URL, and what was refused."""
    refused: list[str] = []

    class Full(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            refused.append(self.path)
            body = b"<Error><Code>QuotaExceeded</Code><Message>no room</Message></Error>"
            self.send_response(507)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:  # which uploads of parts there are
            body = b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_DELETE(self) -> None:
            self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Full) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", refused
        server.shutdown()


def test_a_store_that_says_it_is_full_is_asked_again_later(
    system: System, short_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.services.pressure._POLL_S", 0.05)
    heard = Heard()
    with (
        full_store() as (url, refused),
        opened(system.settings.model_copy(update={"s3_endpoint": url})) as full,
        ThreadPoolExecutor(1) as pool,
    ):
        with pytest.raises(StoreFull, match="the object store is full"):
            full.store.put_file(short_clip, "x")
        upload = pool.submit(upload_file, full, short_clip, "team", progress=heard)
        wait_until(lambda: heard.lines, 60, "a line that says why")
        assert "the object store is full (QuotaExceeded)" in heard.lines[0]
        wait_until(lambda: not sql(system, "SELECT 1 FROM video"), 30, "the row of what was refused to go")
        assert "the object store is full" in str(paused(system))
        tries = len(refused)
        watch_pressure(full)
        assert paused(system) is not None, "a tick must not take it for over"
        assert len(refused) == tries, "it was not left in peace"
        monkeypatch.setattr(full.store, "put_stream", system.store.put_stream)  # as if there were room again
        sql(system, "UPDATE pressure SET seen_at = now() - interval '61 s'")
        assert not upload.result(60).existed


def test_a_worker_without_room_takes_in_no_video_and_says_so(
    configured: Settings, system: System, short_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_model(system.settings.models_path)
    with processes(configured, tmp_path / "logs") as running:
        running.start("worker", "--device", "cpu", "--slots", "1", POSELINE_DISK_MIN_BYTES=str(10**18))
        run_id: UUID = ask(system, short_clip, model=MODEL)
        wait_until(lambda: sql(system, "SELECT 1 FROM video WHERE queued_at IS NULL"), 60, "the message to be declined")
        assert sql(system, "SELECT attempts, state FROM video") == [(0, "stored")]
        watch_pressure(system)
        assert main(["status"]) == 0
        shown = capsys.readouterr().out
        assert "takes in no videos: only" in shown
        assert "no videos are taken in since" in shown
        main(["doctor", "--json"])
        wrong = {each["part"]: each["message"] for each in json.loads(capsys.readouterr().out) if not each["ok"]}
        assert "make room, or lower POSELINE_DISK_MIN_BYTES" in wrong["room"]
        blocked = get_run(system, run_id, team=None).blocking_reason
        assert blocked is not None
        assert blocked.startswith("videos wait to be taken in until there is room: ")
        [status] = printed(capsys, "status")["ingest_paused"]
        assert status["part"] == "disk"
