"""The command line from another machine: with a key alone, it prints and writes what it does beside the servers."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import urllib3

from pipeline.cli.main import main
from pipeline.core.roles import Role
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.analysis import analyse, put_model
from tests.support.commands import printed, said
from tests.support.harness import Processes, cut, environment, kill, processes, report_worker, sql, wait_until
from tests.support.keys import make_key

Remote = Callable[..., Any]


@pytest.fixture
def web(settings: Settings, system: System, tmp_path: Path) -> Iterator[tuple[str, Processes]]:
    """A real `poseline web`, and processes beside it."""
    put_model(settings.models_path)
    report_worker(system, "w", starts=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with processes(settings, tmp_path / "logs") as running:
        running.start("web", "--port", str(port))
        origin = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(origin), 30)
        yield origin, running


def _answers(origin: str) -> bool:
    try:
        return urllib3.request("GET", f"{origin}/api/v1/openapi.json", retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of another machine: nothing of the servers is known there."""
    for name in list(os.environ):
        if name.startswith("POSELINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "away"


def sign_in(home: Path, origin: str, key: str) -> subprocess.CompletedProcess[str]:
    """`poseline login`, as a process that has nothing in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", "--home", str(home), "login", origin, "--json"],
        input=f"{key}\n",
        env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME", "LANG") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_video_is_analysed_from_a_machine_that_has_a_key_alone(
    system: System,
    settings: Settings,
    web: tuple[str, Processes],
    away: Path,
    short_clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    origin, running = web
    running.worker("--slots", "1")
    running.beat()
    signed = sign_in(away, origin, make_key(system, "club"))
    assert signed.returncode == 0, signed.stderr
    assert json.loads(signed.stdout)["team"] == "club"
    assert [path.name for path in away.iterdir()] == ["login.json"]
    assert (away / "login.json").stat().st_mode & 0o777 == 0o600
    clip = Path(shutil.copy(short_clip, tmp_path / "sprint.mp4"))
    here = ("--home", str(away))
    out = tmp_path / "out"
    asked = ("analyze", str(clip), "--model", "rtmo-t", "--out", str(out), "--tag", "season=2026")
    (one,) = printed(capsys, *here, *asked)
    assert (one["state"], one["team"], one["frames"], one["existed"]) == ("done", "club", 120, False)
    assert (out / "sprint.jsonl").read_bytes().count(b"\n") == 120
    (stored,) = sql(system, "SELECT sha256 FROM video")
    again = printed(capsys, *here, "ingest", str(clip), "--model", "rtmo-t")
    assert (again[0]["run_id"], again[0]["state"], again[0]["existed"]) == (one["run_id"], "known", True)
    assert stored == sql(system, "SELECT sha256 FROM video")[0]
    assert "the same content was analysed by this model before" in said(
        capsys, *here, "ingest", str(clip), "--model", "rtmo-t"
    )


@pytest.mark.soak
def test_an_upload_goes_on_where_the_server_was_killed(
    system: System, settings: Settings, web: tuple[str, Processes], away: Path, short_clip: Path, tmp_path: Path
) -> None:
    origin, running = web
    large = tmp_path / "large.mp4"
    large.write_bytes(short_clip.read_bytes() + _free_box(90_000_000))
    assert sign_in(away, origin, make_key(system, "club")).returncode == 0
    command = ("--home", str(away), "ingest", str(large), "--model", "rtmo-t", "--json")
    client = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli.main", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    stored = "SELECT count(*) FROM upload_part"
    wait_until(lambda: sql(system, stored) > [(0,)], 60)
    kill(running.started[0])
    before = sql(system, stored)
    running.start("web", "--port", origin.rpartition(":")[2])
    out, err = client.communicate(timeout=90)
    assert client.returncode == 0, err
    assert json.loads(out)[0]["state"] == "uploaded"
    assert before < [(6,)], "it was killed while parts were missing"
    ((bucket, key),) = sql(system, "SELECT bucket, object_key FROM video")
    kept = hashlib.sha256(b"".join(system.store.iter_whole(system.store.head(str(key), str(bucket)))))
    assert kept.hexdigest() == hashlib.sha256(large.read_bytes()).hexdigest()


def _free_box(size: int) -> bytes:
    """A part of an MP4 that players pass over."""
    return size.to_bytes(4, "big") + b"free" + random.Random(1).randbytes(size - 8)


def test_commands_print_the_same_from_there(
    system: System,
    settings: Settings,
    web: tuple[str, Processes],
    away: Path,
    short_clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origin, _ = web
    analyse(system, short_clip, team="club", put=False)
    open_run = analyse(system, cut(short_clip, tmp_path / "open.mp4", 60), team="club", chunks=[0], put=False)
    analyse(system, cut(short_clip, tmp_path / "theirs.mp4", 30), team="rivals", put=False)
    assert sign_in(away, origin, make_key(system, "club")).returncode == 0
    servers = {name: value for name, value in environment(settings).items() if name.startswith("POSELINE_")}

    def both(*args: str, as_json: bool = True) -> tuple[Any, Any]:
        run = printed if as_json else said
        there = run(capsys, "--home", str(away), *args)
        with monkeypatch.context() as patched:
            for name, value in servers.items():
                patched.setenv(name, value)
            here = run(capsys, *args, "--team", "club")
        return there, here

    commands = ("runs", "runs --state done", "runs --name nothing", "show short", "show open", "verify short")
    for args in (command.split() for command in (*commands, "verify --all")):
        there, here = both(*args)
        assert there == here, args
        there, here = (text.splitlines() for text in both(*args, as_json=False))
        assert [line for line in there if not line.startswith(("server", "the server"))] == [
            line for line in here if not line.startswith(("servers", "reading"))
        ], args
    for name in ("short.jsonl", "short.csv", "short.parquet"):
        (away / "x").mkdir(exist_ok=True)
        said(capsys, "--home", str(away), "export", "short", "--out", str(away / "x" / name))
        with monkeypatch.context() as patched:
            for variable, value in servers.items():
                patched.setenv(variable, value)
            said(capsys, "export", "short", "--out", str(tmp_path / "y" / name))
    written = {path.name: path.read_bytes() for path in (tmp_path / "y").iterdir()}
    assert {path.name: path.read_bytes() for path in (away / "x").iterdir()} == written
    assert len(written) == 6
    said(capsys, "--home", str(away), "preview", "short", "--out", str(away / "x" / "short.png"))
    assert (away / "x" / "short.png").read_bytes()[:4] == b"\x89PNG"
    cancelled = printed(capsys, "--home", str(away), "cancel", "open")
    assert cancelled == [{"run_id": str(open_run), "state": "cancelled", "was_open": True}]
    hidden = said(capsys, "--home", str(away), "show", "theirs", code=2)
    assert "no video or run of team club is called 'theirs'" in hidden
    assert "this key is of team 'club'" in said(capsys, "--home", str(away), "runs", "--team", "rivals", code=2)
    for command in ("queue", "up"):
        assert "signed in at" in said(capsys, "--home", str(away), command, code=2)


def test_status_and_doctor_speak_of_the_server_that_the_home_is_signed_in_at(
    system: System, web: tuple[str, Processes], away: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin, running = web
    here = ("--home", str(away))
    assert sign_in(away, origin, make_key(system, "club", Role.VIEWER)).returncode == 0
    sql(system, "UPDATE worker SET seen_at = now() + interval '1 hour'")
    server, answers, key, workers = said(capsys, *here, "status").splitlines()
    assert server == f"server: {origin}, team club"
    assert re.fullmatch(rf"answers within \d+ ms, Poseline {version('poseline')}", answers)
    assert (key, workers) == ("key 'a test' of team club, as viewer", "workers: there")
    told = printed(capsys, *here, "status")
    assert (told["servers"], told["team"], told["server"]["role"]) == (origin, "club", "viewer")
    parts = {line["part"]: line["ok"] for line in printed(capsys, *here, "doctor")}
    assert parts == dict.fromkeys(["python", "disk", "variables", "signed in", "server", "key", "workers"], True)
    assert "`poseline up`" not in said(capsys, *here, "doctor"), "nobody asked for servers here"
    sql(system, "UPDATE worker SET seen_at = now() - interval '1 hour'")
    assert "workers: no worker runs there" in said(capsys, *here, "status")
    assert "WRONG  workers   no worker runs there" in said(capsys, *here, "doctor", code=1)
    sql(system, "UPDATE api_key SET revoked_at = now()")
    assert "this key is not valid" in said(capsys, *here, "status", code=2)
    broken = said(capsys, *here, "doctor", code=1)
    assert "WRONG  key       this key is not valid" in broken
    assert f"ok     server    {origin} answers" in broken
    kill(running.started[0])
    assert f"{origin} does not answer" in said(capsys, *here, "status", code=1)
    broken = said(capsys, *here, "doctor", code=1)
    assert f"WRONG  server    {origin} does not answer" in broken
    assert broken.count("WRONG") == 1
    assert list(away.iterdir()) == [away / "login.json"]


def test_a_key_is_kept_to_its_server_and_its_owner(
    system: System, web: tuple[str, Processes], away: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin, _ = web
    wrong = sign_in(away, origin, "psl_nonsense")
    assert (wrong.returncode, "this key is not valid" in wrong.stderr, away.exists()) == (2, True, False)
    assert "begins with psl_" in sign_in(away, origin, "hunter2").stderr
    for url in ("http://poses.example.org", "ftp://poses.example.org", "https://a:b@poses.example.org", "https://x/y"):
        assert sign_in(away, url, "psl_x").returncode == 2, url
    assert "only sent over https" in sign_in(away, "http://poses.example.org", "psl_x").stderr
    viewer = make_key(system, "club", Role.VIEWER)
    assert sign_in(away, origin, viewer).returncode == 0
    assert "may only look" in said(capsys, "--home", str(away), "ingest", __file__, code=2)
    assert printed(capsys, "--home", str(away), "runs") == []
    sql(system, "UPDATE api_key SET revoked_at = now()")
    assert "this key is not valid" in said(capsys, "--home", str(away), "runs", code=2)
    (away / "login.json").chmod(0o644)
    assert "can be read by others" in said(capsys, "--home", str(away), "runs", code=2)
    (away / "login.json").chmod(0o600)
    assert printed(capsys, "--home", str(away), "logout") == {"was_signed_in": True}
    assert main(["--home", str(away), "runs"]) == 2
