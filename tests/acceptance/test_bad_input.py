"""Bad input: one line that says what is wrong and the mend, the right exit code, and nothing half-made left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import av
import numpy as np
import pytest

from pipeline.cli.main import main
from pipeline.core.objects import StoredObject
from pipeline.db.engine import transaction
from pipeline.db.uploads import insert_video, mark_stored
from pipeline.db.videos import claim_ingest, mark_rejected
from pipeline.errors import ServiceUnavailable, UsageError, VideoRejected
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.queue import FRAMES
from pipeline.services.export import checked_target
from pipeline.services.reconcile import tick
from pipeline.services.request import request_run
from pipeline.services.system import System
from pipeline.services.upload import register_object, upload_file
from pipeline.settings import Settings
from tests.conftest import opened
from tests.support.harness import ask, environment, processes, run_of, sql, wait_done, wait_until
from tests.support.paths import DEMO_CLIP
from tests.support.proxy import breaking_proxy


def said(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    """Exit code and the one line on standard error."""
    code = main(list(args))
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return code, captured.err.strip().splitlines()[-1] if captured.err.strip() else ""


def assert_nothing_half_made(system: System) -> None:
    for table in ("chunk", "frame"):
        assert sql(system, f"SELECT count(*) FROM {table}") == [(0,)], table
    assert sql(system, "SELECT 1 FROM video WHERE state <> 'rejected' OR etag IS NOT NULL") == []
    assert sql(system, "SELECT 1 FROM run WHERE state <> 'failed'") == []
    teams = sql(system, "SELECT id FROM team")
    assert [key for (team,) in teams for key in system.store.list_keys(f"teams/{team}/")] == []
    assert system.queue.waiting(FRAMES) == 0


def audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def made(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("command", ["analyze", "ingest"])
@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda p: p / "none.mp4", 2, "there is no file"),
        (lambda p: made(p / "empty.mp4", b""), 1, "empty"),
        (lambda p: made(p / "notes.mp4", b"Tuesday: five by five\n" * 99), 1, "not a video"),
        (lambda p: audio(p / "anthem.m4a"), 1, "only sound"),
        (lambda p: made(p / "half.mp4", DEMO_CLIP.read_bytes()[:900_000]), 1, "upload it again"),
        (lambda p: made(p / "head.mp4", DEMO_CLIP.read_bytes()[:700]), 1, "upload it again"),
        (lambda p: p, 2, "there is no video in"),
    ],
    ids=["no file", "empty", "text", "audio", "truncated", "cut in its header", "empty folder"],
)
def test_a_file_that_is_no_video(
    configured: Settings,
    system: System,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    make: object,
    code: int,
    words: str,
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    assert callable(make)
    got, line = said(capsys, command, str(make(folder)))
    assert got == code
    assert words in line
    assert line.startswith("poseline: ")
    assert_nothing_half_made(system)
    reasons = sql(system, "SELECT run.reason FROM run JOIN video ON video.id = video_id AND video.reason = run.reason")
    assert len(reasons) == (code == 1), "a refusal leaves a row"
    assert all(line.endswith(str(reason)) for (reason,) in reasons)


def test_one_bad_file_among_good_ones_does_not_stop_them(
    configured: Settings, system: System, short_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = made(tmp_path / "bad.mp4", b"x" * 999)
    got, line = said(capsys, "ingest", str(bad), str(short_clip), "--json")
    assert (got, "not a video" in line) == (1, True)
    seen = "SELECT name, video.state, run.state FROM video JOIN run ON video.id = video_id ORDER BY run.created_at"
    assert sql(system, seen) == [("bad.mp4", "rejected", "failed"), (short_clip.name, "stored", "waiting")]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("analyze", str(DEMO_CLIP), "--model", "rtmo-z"), 2, "there is no model 'rtmo-z'"),
        (("analyze", str(DEMO_CLIP), "--model", "rtmo-s"), 1, "poseline models fetch rtmo-s"),
        (("analyze", "s3://poseline/none.mp4"), 1, "there is no s3://poseline/none.mp4"),
        (("analyze", "s3://no-such-bucket/x"), 1, "check the bucket"),
        (("analyze", "s3://poseline"), 2, "s3://bucket/key"),
        (("analyze", "s3://poseline/no-matches/"), 2, "there is no video below s3://poseline/no-matches/"),
        (("analyze", "s3://poseline/teams/a/videos/b"), 2, "Poseline's own"),
        (("analyze", "s3://poseline//teams/a/videos/b"), 2, "Poseline's own"),
        (("analyze", "s3://poseline/x/..//teams/a/videos/b"), 2, "Poseline's own"),
        (("analyze", "s3://poseline/match#2?.mp4"), 1, "match#2?.mp4"),
        (("analyze", "https://example.org/v.mp4"), 2, "download it first"),
        (("show", "0123"), 2, "no video or run is called '0123'"),
        (("export", "zzz", "--out", "x.jsonl"), 2, "no video or run is called 'zzz'"),
        (("export", "zzz", "--out", "x.xlsx"), 2, "ends in none of .jsonl, .parquet, .csv"),
        (("export", "zzz", "--out", "poses"), 2, "ends in none of"),
        (("export", "zzz", "--out", "x.csv", "--format", "jsonl"), 2, "end it in .jsonl"),
        (("export", "zzz", "--out", "-", "--json"), 2, "no video or run"),
        (("runs", "--since", "soon"), 2, "is no time"),
        (("runs", "--state", "lost"), 2, "lost"),
        (("worker", "--queues", "frams"), 2, "there is no queue"),
        (("flower",), 2, "POSELINE_FLOWER_PASSWORD"),
        (("analyze", str(DEMO_CLIP), "--team", "\n"), 2, "no name for a team"),
        (("analyze", str(DEMO_CLIP), "--team", "x" * 65), 2, "no name for a team"),
        (("analyse", "x"), 2, "No such command"),
        (("analyze",), 2, "no video is named"),
        (("analyze", "x", "--format", "xml"), 2, "xml"),
    ],
    ids=lambda value: " ".join(value[:2])[-30:] if isinstance(value, tuple) else None,
)
def test_what_cannot_be_done_is_said_in_one_line(
    configured: Settings,
    system: System,
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    got, line = said(capsys, *args)
    assert got == code
    assert words in line
    assert_nothing_half_made(system)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("POSELINE_DATABASE_URL", "postgresql://a:b@127.0.0.1:1/x", "Postgres does not answer"),
        ("POSELINE_DATABASE_URL", "mysql://a:b@127.0.0.1:1/x", "needs postgresql"),
        ("POSELINE_S3_ENDPOINT", "http://127.0.0.1:1", "object store does not answer"),
    ],
    ids=["database down", "another database", "store down"],
)
def test_a_server_that_is_down(
    configured: Settings,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(name, value)
    got, line = said(capsys, "analyze", str(DEMO_CLIP))
    assert got in {1, 2}
    assert words in line
    assert "secret" not in line.lower()
    assert_nothing_half_made(system)


def test_a_store_that_is_down_is_reported_once_and_before_any_file_is_read(
    configured: Settings,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        made(folder / f"{number}.mp4", b"a file that is rejected as soon as it is read")
    monkeypatch.setenv("POSELINE_S3_ENDPOINT", "http://127.0.0.1:1")
    assert main(["analyze", str(folder)]) == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert "object store does not answer" in line


def test_the_first_of_several_failures_decides_the_exit_code(
    configured: Settings, system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = str(made(tmp_path / "bad.mp4", b"x" * 999))
    own = "s3://poseline/teams/a/videos/b"
    for paths, code in (((bad, own), 1), ((own, bad), 2)):
        assert main(["ingest", *paths]) == code
        printed = capsys.readouterr().err
        assert "not a video" in printed
        assert "Poseline's own" in printed


def test_redis_that_is_down_costs_only_seconds(
    configured: Settings,
    system: System,
    short_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("POSELINE_BROKER_URL", "redis://127.0.0.1:1/0")
    assert main(["ingest", str(short_clip)]) == 0
    assert sql(system, "SELECT state FROM video") == [("stored",)]
    with processes(system.settings, tmp_path / "logs") as running:
        running.beat()
        running.worker("--slots", "1")
        wait_until(lambda: sql(system, "SELECT 1 FROM video WHERE state = 'ready'"), 30, "the message sent again")


def test_a_port_that_is_taken(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSELINE_FLOWER_PASSWORD", "only for this test")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for args in (("flower", "--port", port), ("up", "--home", "elsewhere", "--flower-port", port)):
            code, line = said(capsys, *args)
            assert code == 1
            assert f"port {port}" in line
            assert "taken" in line
            assert "choose another" in line


def test_a_worker_without_a_place_for_scratch_files_does_not_start(
    configured: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way of a directory")
    code, line = said(capsys, "worker", "--device", "cpu", "--home", str(tmp_path / "file" / "home"))
    assert code == 2
    assert "scratch files cannot be kept in" in line
    assert line.rstrip().endswith("(Not a directory); name a place with --home or POSELINE_HOME")


def test_servers_of_the_environment_are_named_without_their_password(
    configured: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    url = urlsplit(configured.database_url.get_secret_value())
    where = f"{url.hostname}:{url.port}{url.path}"
    assert main(["runs"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"servers: Postgres {where}, from the environment"
    assert main(["status"]) == 0
    assert capsys.readouterr().out.startswith(f"servers: Postgres {where}, from the environment\n")
    assert main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["servers"], found["database"]) == ("environment", where)
    assert url.password is not None
    assert url.password not in json.dumps(found)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_stops_the_waiting_and_not_the_run(system: System, short_clip: Path, tmp_path: Path) -> None:
    with processes(system.settings, tmp_path / "logs") as running:
        running.worker("--slots", "1")
        waiting = running.start("analyze", str(short_clip), "--out", str(tmp_path / "out"))
        wait_until(lambda: sql(system, "SELECT 1 FROM chunk WHERE frames_done > 3"), 30, "the run to begin")
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(10) == 130
        assert "the analysis of short.mp4 goes on" in running.output()
        [(run_id,)] = sql(system, "SELECT id FROM run")
        assert isinstance(run_id, UUID)
        wait_done(system, run_id)
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_text_is_still_a_video(system: System, short_clip: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"match \xff\xfe.mp4")
    odd.write_bytes(short_clip.read_bytes())
    assert upload_file(system, odd, "team").video.name == "match ??.mp4"


def test_a_name_with_escape_sequences_never_reaches_the_terminal(
    configured: Settings, system: System, short_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = f"{uuid4()}/v\x1b[2J.mp4"
    system.store.put_file(short_clip, key)
    assert main(["ingest", f"s3://{system.store.bucket}/{key}"]) == 0
    assert sql(system, "SELECT name FROM video") == [("v?[2J.mp4",)]
    sql(system, "UPDATE video SET name = :name", name="v\x1b[2J.mp4")  # as an older version stored it
    [(run_id,)] = sql(system, "SELECT id FROM run")
    for command in (("runs",), ("show", str(run_id)), ("ingest", f"s3://{system.store.bucket}/{key}")):
        assert main(list(command)) == 0
        captured = capsys.readouterr()
        assert "\x1b[2J" not in captured.out + captured.err


def test_a_team_sees_its_own_runs_only(
    configured: Settings, system: System, short_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = str(ask(system, short_clip, team="a"))
    assert main(["teams", "add", "b"]) == 0
    for command in (("show",), ("verify",), ("cancel",), ("export", "--out", "x.csv"), ("preview", "--out", "x.png")):
        code, line = said(capsys, command[0], run_id, *command[1:], "--team", "b")
        assert code == 2
        assert "no video or run of team b" in line
    assert main(["show", run_id, "--team", "a"]) == 0


def test_an_option_beats_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSELINE_HOME", str(tmp_path / "named by the environment"))
    wanted = str(tmp_path / "named by the option")
    for args in (("--home", wanted, "--json", "status"), ("status", "--json", "--home", wanted)):
        assert main(list(args)) == 1
        assert json.loads(capsys.readouterr().out)["home"] == wanted


def test_what_is_no_file_is_never_written_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    for bad in (tmp_path / "pipe", tmp_path, Path(os.devnull)):
        with pytest.raises(UsageError, match="is not a file"):
            checked_target(bad)
    assert checked_target(tmp_path / "link.jsonl") == tmp_path / "real.jsonl"


def test_settings_that_are_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("POSELINE_DATABASE_URL", "postgresql://a@b/c")
    got, line = said(capsys, "runs")
    assert (got, "POSELINE_BROKER_URL is not set" in line) == (2, True)


def test_a_worker_rejects_what_slips_past_the_door(system: System, tmp_path: Path) -> None:
    """An object that was put into the store by somebody else is looked at by the worker, and the run says why."""

    system.store.put_file(made(tmp_path / "x", b"not a video at all"), "foreign/notes.mp4")
    upload = register_object(system, f"s3://{system.store.bucket}/foreign/notes.mp4", "team")
    run_id = request_run(system, upload.video.id, BUNDLED_MODEL).run_id
    with processes(system.settings, tmp_path / "logs") as running:
        running.worker("--slots", "1")
        wait_until(lambda: run_of(system, run_id).state == "failed", 30)
    assert "not a video" in str(run_of(system, run_id).reason)
    assert sql(system, "SELECT state FROM video") == [("rejected",)]
    assert list(system.store.list_keys("foreign/")) == ["foreign/notes.mp4"], "an object that is not ours was removed"


def test_a_run_cannot_be_asked_for_a_video_that_was_rejected(system: System) -> None:
    with transaction(system.engine) as connection:
        video_id, key = insert_video(connection, "team", "v.mp4", bucket="b")
        mark_stored(connection, video_id, StoredObject("b", key, 1, '"e"'))
        lease = claim_ingest(connection, video_id, "w", 30)
        assert lease is not None
        mark_rejected(connection, lease, VideoRejected("it is a\0text\nfile").message)
    with pytest.raises(VideoRejected, match="it is a text file"):
        request_run(system, video_id, BUNDLED_MODEL)
    assert sql(system, "SELECT count(*) FROM run") == [(0,)]


def test_an_upload_that_breaks_off_leaves_nothing(system: System, settings: Settings, short_clip: Path) -> None:
    port = urlsplit(settings.s3_endpoint).port
    assert port is not None
    with breaking_proxy(port, limit_bytes=200_000) as proxy:
        through = settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{proxy.port}"})
        with opened(through) as broken, pytest.raises(ServiceUnavailable, match="object store"):
            upload_file(broken, short_clip, "team")
        assert proxy.broken > 0
    assert_nothing_half_made(system)


def test_an_upload_whose_client_died_is_swept_up(system: System, short_clip: Path) -> None:
    with transaction(system.engine) as connection:
        video_id, key = insert_video(connection, "team", "v.mp4", bucket=system.store.bucket)
    system.store.put_file(short_clip, key)
    tick(system)
    assert sql(system, "SELECT id FROM video") == [(video_id,)], "an upload under way was removed"
    sql(system, "UPDATE video SET created_at = now() - interval '8 days'")
    tick(system)
    assert_nothing_half_made(system)


def test_debug_shows_where(settings: Settings, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.cli.main", "--debug", "analyze", str(tmp_path / "none.mp4")]
    result = subprocess.run(command, env=environment(settings), capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "Traceback" in result.stderr
