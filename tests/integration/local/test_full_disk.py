"""A full disk: the supervisor keeps the services running, and commands say in one line what is wrong."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.errors import disk_full_line
from pipeline.local.stack import down, status, up
from pipeline.local.supervisor import MAX_LOG_BYTES
from tests.support.harness import wait_until

pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="no way here to keep a process from writing"),
]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    up(home, only=("valkey", "seaweedfs"), prepare=lambda _: None)
    yield home
    down(home)


def children(supervisor: psutil.Process) -> dict[str, int]:
    return {p.name(): p.pid for p in supervisor.children() if p.status() != psutil.STATUS_ZOMBIE}


def test_a_supervisor_that_cannot_write_goes_on_and_writes_again_later(home: Path) -> None:
    """Its files may have 300 bytes, too few for the state. The error is EFBIG; neither root nor a mount is needed."""
    supervisor = psutil.Process(json.loads((home / "run" / "state.json").read_text())["supervisor"]["pid"])
    before = children(supervisor)
    soft, hard = supervisor.rlimit(resource.RLIMIT_FSIZE)
    supervisor.rlimit(resource.RLIMIT_FSIZE, (300, hard))
    with (home / "logs" / "seaweedfs.log").open("ab") as large:
        large.truncate(MAX_LOG_BYTES + 1)
    os.kill(before["valkey-server"], 9)
    log = home / "logs" / "supervisor.log"
    wait_until(lambda: "the state cannot be written" in log.read_text(), 20, "a state that cannot be written")
    assert supervisor.is_running()
    assert children(supervisor)["weed"] == before["weed"]
    supervisor.rlimit(resource.RLIMIT_FSIZE, (soft, hard))

    def written() -> bool:
        state = json.loads((home / "run" / "state.json").read_text())["services"]["valkey"]
        return bool(state["deaths"]) and state["pid"] not in {None, before["valkey-server"]}

    wait_until(written, 30, "the state to be written again")
    assert up(home, only=("valkey", "seaweedfs"), prepare=lambda _: None).running
    assert supervisor.is_running()
    assert children(supervisor)["weed"] == before["weed"]
    assert {s.state for s in status(home).services} == {"running", "stopped"}
    wait_until((home / "logs" / "seaweedfs.log.1").exists, 10, "the log to be put aside")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("args", [("models",), ("models", "--json"), ("--help",)], ids=" ".join)
def test_a_command_whose_output_finds_no_room_says_so(args: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.cli.main", *args],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "the disk is full: not everything could be written; make room and try again" in line
    assert not {"unexpected", "--debug"} & set(line.replace("`", " ").split())


def test_the_file_that_found_no_room_is_named() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/a/file")
    assert disk_full_line(error) == "the disk is full: /a/file cannot be written; make room and try again"
    assert disk_full_line(OSError(errno.EIO, "Input/output error")) is None
