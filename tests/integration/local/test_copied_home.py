"""A home that was copied or moved: each has its own processes, and commands on one never touch the other's."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.cli.main import main
from pipeline.local.home import PROCESSES, SERVERS, Home, Stack
from pipeline.local.processes import iter_stack_processes
from pipeline.local.servers import STACK_ID_VARIABLE
from pipeline.local.stack import StackStatus, down, status, up
from tests.support.harness import wait_until

pytestmark = pytest.mark.timeout(150)


def start(home: Path) -> StackStatus:
    return up(home, only=SERVERS, prepare=lambda _: None)


def pids_of(found: StackStatus) -> dict[str, int]:
    return {service.name: service.pid for service in found.services if service.pid is not None}


def written(home: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((home / "stack.json").read_text())
    return found


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("original") / "home"
    up(home, slots=1)
    yield home
    down(home)


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Iterator[Path]:
    """The home as a copy of a running one makes it, without the data of Postgres, whose files change meanwhile."""
    to = tmp_path / "copy"
    shutil.copytree(original, to, ignore=shutil.ignore_patterns("postgres", "*.sock"))
    yield to
    down(to)


def test_nothing_of_the_original_belongs_to_its_copy(original: Path, copy: Path) -> None:
    before = pids_of(status(original))
    assert before.keys() == {*SERVERS, *PROCESSES}
    assert {service.state for service in status(copy).services} == {"stopped"}
    down(copy)
    assert pids_of(status(original)) == before
    assert status(original).running
    assert all(psutil.pid_exists(pid) for pid in before.values())


def test_a_copy_started_beside_its_original_has_servers_of_its_own(
    original: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pids_of(status(original))
    assert main(["--home", str(copy), "runs"]) == 1
    assert f"is a copy of {original.resolve()}" in capsys.readouterr().err
    assert start(copy).running
    assert status(original).running
    assert pids_of(status(original)) == before
    assert not set(pids_of(status(copy)).values()) & set(before.values())
    one, two = written(original), written(copy)
    assert one["stack_id"] != two["stack_id"]
    assert isinstance(one["ports"], dict)
    assert isinstance(two["ports"], dict)
    assert not set(one["ports"].values()) & set(two["ports"].values())
    assert one["s3_access_key"] == two["s3_access_key"]  # of the same data
    down(copy)
    assert status(original).running
    assert pids_of(status(original)) == before
    assert start(copy).running
    assert written(copy) == two


def test_a_moved_home_keeps_its_id_and_finds_its_own_processes(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    up(old, only=["valkey"], prepare=lambda _: None)
    down(old)
    before = written(old)
    old.rename(new)
    assert up(new, only=["valkey"], prepare=lambda _: None).running
    assert written(new)["stack_id"] == before["stack_id"]
    assert written(new)["home"] == str(new.resolve())
    supervisor = psutil.Process(json.loads((new / "run" / "state.json").read_text())["supervisor"]["pid"])
    server = pids_of(status(new))["valkey"]
    supervisor.kill()
    down(new)
    wait_until(lambda: not psutil.pid_exists(server), 10, "its end")


@pytest.mark.parametrize("by", ["option", "folder"])
def test_a_process_of_an_earlier_version_is_its_home_s_alone(tmp_path: Path, by: str) -> None:
    """It has the stack's id in its environment, and names its home by an argument or by where it runs."""
    homes = [Home.at(tmp_path / name) for name in ("original", "copy")]
    for home in homes:
        home.make()
        home.stack_file.write_text("{}")
    stack = Stack.generate({})
    arguments = ["--home", str(homes[0].path)] if by == "option" else []
    with subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", *arguments],
        env={STACK_ID_VARIABLE: stack.stack_id},
        cwd=homes[0].path if by == "folder" else "/",
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = [[each.pid for _, each in iter_stack_processes(home, stack, ())] for home in homes]
        process.send_signal(signal.SIGKILL)
    assert found == [[process.pid], []]


def test_the_state_that_an_earlier_version_s_supervisor_wrote_is_not_the_copy_s(original: Path, copy: Path) -> None:
    file = copy / "run" / "state.json"
    file.write_text(json.dumps({name: value for name, value in json.loads(file.read_text()).items() if name != "home"}))
    assert {service.state for service in status(copy).services} == {"stopped"}
    down(copy)
    assert status(original).running
