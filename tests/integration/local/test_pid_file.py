"""A `postmaster.pid` that a crash left, beside other people's Postgres: whose it is decides whether it stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pipeline.local.cluster import remove_stale_pid_file
from pipeline.local.home import Home
from pipeline.local.stack import down, up
from tests.support.ordinary_user import NOBODY, Person, person

pytestmark = pytest.mark.timeout(90)

_DAEMON = 1  # a user that every Linux has

_CHECK = """
import os, subprocess, sys
from pathlib import Path
from pipeline.local.cluster import remove_stale_pid_file
from pipeline.local.home import Home

home = Home.at(Path(sys.argv[1]))
home.data("postgres").mkdir(parents=True)
with subprocess.Popen(["sleep", "60"]) as own:
    home.data("postgres").joinpath("postmaster.pid").write_text(f"{own.pid}\\n{home.data('postgres')}\\n1\\n")
    remove_stale_pid_file(home)
    own.kill()
print(home.data("postgres").joinpath("postmaster.pid").exists())
"""

_UP = """
import subprocess, sys
from pathlib import Path
from pipeline.local.stack import up, down, SERVERS

home = Path(sys.argv[1])
start = lambda: up(home, only=SERVERS, prepare=lambda settings: None).running
with subprocess.Popen(["sleep", "80"]) as own:
    try:
        start()
        down(home)
        (home / "postgres" / "postmaster.pid").write_text(f"{own.pid}\\n{home}/postgres\\n1\\n5432\\n\\n127.0.0.1\\n")
        print(start())
    finally:
        down(home)
        own.kill()
"""


@contextmanager
def stand_in(folder: Path, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process called `postgres` that is none."""
    program = folder / "postgres"
    shutil.copy("/bin/sleep", program)
    program.chmod(0o755)
    with subprocess.Popen([program, "80"], cwd=cwd) as process:
        try:
            yield process
        finally:
            process.kill()


def printed(somebody: Person, script: str, *args: str) -> list[str]:
    """What a script prints that somebody runs on a home of theirs."""
    done = somebody.run("-c", script, "stack", *args, timeout_s=80)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def stale(home: Home, pid: int, started_at: float) -> Path:
    path = home.data("postgres") / "postmaster.pid"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{pid}\n{home.data('postgres')}\n{int(started_at)}\n5432\n")
    return path


def test_another_user_s_postgres_is_not_ours(tmp_path: Path) -> None:
    with person(_DAEMON) as somebody, stand_in(tmp_path, tmp_path):
        assert printed(somebody, _CHECK) == ["False"]


def test_up_starts_beside_another_user_s_postgres(tmp_path: Path) -> None:
    with person(NOBODY) as somebody, stand_in(tmp_path, tmp_path):
        assert printed(somebody, _UP) == ["True"]


def test_the_directory_tells_our_postgres_from_another_of_ours(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    with stand_in(tmp_path, tmp_path) as elsewhere:
        path = stale(home, elsewhere.pid, time.time())
        remove_stale_pid_file(home)
        assert not path.exists()
    stale(home, os.getpid(), time.time())
    with stand_in(tmp_path, home.data("postgres")):
        remove_stale_pid_file(home)
        assert path.exists()


def test_a_pid_that_is_free_is_left_to_postgres(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    with stand_in(tmp_path, tmp_path) as ended:
        pass
    path = stale(home, ended.pid, time.time())
    remove_stale_pid_file(home)
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"garbage\n", b"\xff\x00\x01", b"-1\n", b"0\n", b"9" * 5000, b"12x\n"])
def test_a_file_without_a_pid_is_removed_unless_a_postgres_of_ours_runs_there(tmp_path: Path, content: bytes) -> None:
    home = Home.at(tmp_path / "home")
    path = stale(home, 1, time.time())
    path.write_bytes(content)
    with stand_in(tmp_path, home.data("postgres")):
        remove_stale_pid_file(home)
        assert path.exists()
    remove_stale_pid_file(home)
    assert not path.exists()


def test_up_starts_on_an_empty_pid_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    try:
        assert up(home, only=["postgres"], prepare=lambda _: None).running
        down(home)
        (home / "postgres" / "postmaster.pid").write_bytes(b"")
        assert up(home, only=["postgres"], prepare=lambda _: None).running
    finally:
        down(home)


_UNREADABLE = """
import sys
from pathlib import Path
import psutil
from pipeline.local.cluster import remove_stale_pid_file
from pipeline.local.home import Home

process = psutil.Process(int(sys.argv[2]))
try:
    process.cwd()
except psutil.AccessDenied:
    home = Home.at(Path(sys.argv[1]))
    home.data("postgres").mkdir(parents=True)
    path = home.data("postgres") / "postmaster.pid"
    for pid, started_at in ((process.pid, process.create_time()), (process.pid, 1), (1, process.create_time())):
        path.write_text(f"{pid}\\n{home.data('postgres')}\\n{int(started_at)}\\n5432\\n")
        remove_stale_pid_file(home)
        print(path.exists())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's Postgres is readable to that user")
def test_pid_and_start_decide_where_the_directory_cannot_be_read(servers: Path) -> None:
    """As root, our Postgres runs as `nobody` with a capability that makes it unreadable to other processes of his."""
    owner = (servers / "postgres").stat().st_uid
    running = next(
        p for p in psutil.process_iter() if p.name() == "postgres" and p.cwd() == str((servers / "postgres").resolve())
    )
    while (parent := running.parent()) is not None and parent.name() == "postgres":
        running = parent
    with person(owner) as somebody:
        assert printed(somebody, _UNREADABLE, str(running.pid)) == ["True", "False", "False"]
