"""Services that live and do nothing: seen, told from busy ones, and restarted by `up`. A real stack, real signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from dotenv import dotenv_values

from pipeline.local.health import Health, check_health
from pipeline.local.home import PROCESSES, SERVERS, TITLES, Home, Stack
from pipeline.local.repair import find_stuck
from pipeline.local.stack import StackStatus, down, status, up
from pipeline.local.state import DesiredState
from tests.support.harness import wait_until

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A whole stack that runs."""
    home = tmp_path_factory.mktemp("hung") / "home"
    up(home, slots=1)
    yield home
    down(home)


def stack_of(home: Path) -> tuple[Home, Stack]:
    place = Home.at(home)
    stack = place.read_stack()
    assert stack is not None
    return place, stack


def pids_of(found: StackStatus) -> dict[str, int]:
    return {service.name: service.pid for service in found.services if service.pid is not None}


def states_of(found: StackStatus) -> dict[str, str]:
    return {service.name: service.state for service in found.services}


def freeze(pid: int) -> None:
    """SIGSTOP a process and what it started."""
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        process.send_signal(signal.SIGSTOP)


def doctor(home: Path) -> dict[str, str]:
    """What `doctor` finds wrong. In a process of its own: kombu keeps connections to a server that was restarted."""
    command = [sys.executable, "-m", "pipeline.cli.main", "doctor", "--json", "--home", str(home)]
    found = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    return {line["part"]: line["message"] for line in found if not line["ok"]}


@pytest.mark.parametrize(
    ("names", "parts", "waiting"),
    [
        (("worker", "beat", "web"), {"workers", "beat", "web"}, set()),
        (("postgres", "valkey", "seaweedfs", "flower"), {"postgres", "redis", "store", "flower"}, {"worker", "beat"}),
    ],
    ids=["processes", "servers"],
)
def test_hung_services_are_seen_and_restarted(
    home: Path, names: tuple[str, ...], parts: set[str], waiting: set[str]
) -> None:
    before = pids_of(up(home))
    assert doctor(home) == {}
    for name in names:
        freeze(before[name])

    found = status(home)
    assert not found.running
    assert {name for name, state in states_of(found).items() if state == "hung"} == set(names)
    assert {name for name, state in states_of(found).items() if state == "waiting"} == waiting
    wrong = doctor(home)
    assert parts <= wrong.keys()
    assert all(wrong[part].startswith("hung: ") and wrong[part].endswith(" up` restarts it") for part in parts)

    steps: list[str] = []
    found = up(home, on_step=steps.append)
    assert found.running
    assert sorted(steps) == sorted(f"restarting {TITLES.get(name, name)}: it does not answer" for name in names)
    after = pids_of(found)
    assert {name for name in before if after[name] != before[name]} == set(names)
    assert not any(psutil.pid_exists(before[name]) for name in names)
    assert doctor(home) == {}


def supervisor_of(home: Path) -> psutil.Process:
    return psutil.Process(json.loads((home / "run" / "state.json").read_text())["supervisor"]["pid"])


def stopped_supervisor(home: Path) -> psutil.Process:
    process = supervisor_of(home)
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 10, "a stopped supervisor")
    return process


def test_a_stopped_supervisor_is_seen_and_replaced(home: Path) -> None:
    before = pids_of(up(home, slots=1, device="cpu"))
    hung = stopped_supervisor(home)
    found = status(home)
    assert not found.running
    assert {s.name: s.state for s in found.services if s.state != "running"} == {"supervisor": "hung"}
    wrong = doctor(home)
    assert wrong.keys() == {"supervisor"}
    assert wrong["supervisor"].startswith("hung: ")
    assert wrong["supervisor"].endswith(f"`poseline --home {home} up` restarts it")

    steps: list[str] = []
    found = up(home, on_step=steps.append)
    assert steps[0] == "restarting the stack: its supervisor is hung"
    assert found.running
    assert "supervisor" not in states_of(found)
    assert not hung.is_running()
    assert not set(before.values()) & set(pids_of(found).values())
    command = psutil.Process(pids_of(found)["worker"]).cmdline()
    assert "--concurrency=1" in command
    assert DesiredState.read(Home.at(home)).device == "cpu"
    wait_until(lambda: doctor(home) == {}, 60, "the worker that was killed to be forgotten")


def test_down_does_not_wait_for_a_stopped_supervisor(tmp_path: Path) -> None:
    up(tmp_path / "home", only=["valkey"], prepare=lambda _: None)
    stopped_supervisor(tmp_path / "home")
    begun_at = time.monotonic()
    assert not down(tmp_path / "home").running
    assert time.monotonic() - begun_at < 20


def test_a_service_that_ended_too_often_is_tried_again(home: Path) -> None:
    """After many deaths the next try is 10 s away, and `up` used to give the service up without one."""
    up(home)
    place, _ = stack_of(home)
    for number in range(1, 5):
        pid = wait_until(lambda: pids_of(status(home)).get("beat"), 30, "a new beat")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda at_least=number: deaths_of(place, "beat") >= at_least, 30, "its death to be recorded")
    steps: list[str] = []
    assert up(home, on_step=steps.append).running
    # On a machine under load the supervisor may have been faster.
    assert steps in ([], ["restarting beat: ended by SIGKILL"])
    assert deaths_of(place, "beat") == (0 if steps else 4)


def deaths_of(home: Home, name: str) -> int:
    return int(json.loads(home.state_file.read_text())["services"][name]["deaths"])


def test_a_busy_machine_is_not_a_hung_one(home: Path) -> None:
    before = pids_of(up(home))
    place, stack = stack_of(home)
    burn = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(burn) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        assert find_stuck(place, stack, SERVERS + PROCESSES) == {}
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    assert pids_of(status(home)) == before


def test_what_waits_for_a_slow_server_is_left_alone(home: Path) -> None:
    """Valkey answers nothing for 8 s: neither it, nor the worker and beat that wait for it, are restarted."""
    before = pids_of(up(home))
    env = dotenv_values(home / "poseline.env")
    with closing(redis.Redis.from_url(env["POSELINE_BROKER_URL"] or "")) as client:
        client.client_pause(8000)
    assert states_of(status(home))["worker"] == "waiting"
    steps: list[str] = []
    assert up(home, on_step=steps.append).running
    assert steps == []
    assert pids_of(status(home)) == before


def test_a_worker_that_reports_no_more_is_silent_although_it_is_connected(home: Path) -> None:
    pid = pids_of(up(home))["worker"]
    _, stack = stack_of(home)
    url = dotenv_values(home / "poseline.env")["POSELINE_DATABASE_URL"] or ""
    with psycopg.connect(url) as connection:

        def blocked() -> bool:
            """Make its last report old and keep it from the next, which may come between the two."""
            connection.rollback()
            connection.execute("UPDATE worker SET seen_at = now() - interval '1 minute'")
            connection.commit()
            connection.execute("LOCK TABLE worker IN EXCLUSIVE MODE")
            row = connection.execute("SELECT max(seen_at) < now() - interval '30 s' FROM worker").fetchone()
            return row == (True,)

        wait_until(blocked, 10, "a worker that cannot report")
        assert wait_until(lambda: check_health("worker", stack, pid) is Health.SILENT, 8, "a silent worker")
    wait_until(lambda: check_health("worker", stack, pid) is Health.ANSWERS, 30, "its next report")


@contextmanager
def process(script: str) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        try:
            yield running.pid
        finally:
            running.kill()


def test_a_process_that_computes_is_told_from_one_that_does_nothing(home: Path) -> None:
    """As while a worker loads a large model, before it has ever reported."""
    up(home)
    _, stack = stack_of(home)
    with process("print(flush=True)\nwhile True: pass") as pid:
        assert check_health("worker", stack, pid) is Health.COMPUTES
    with process("import time; print(flush=True); time.sleep(60)") as pid:
        assert check_health("worker", stack, pid) is Health.SILENT
        assert check_health("beat", stack, pid) is Health.SILENT
        assert check_health("flower", stack, pid) is Health.SILENT


@pytest.mark.parametrize(("name", "port"), [("postgres", "postgres"), ("valkey", "valkey"), ("seaweedfs", "s3")])
def test_a_server_that_accepts_and_says_nothing_is_silent(home: Path, name: str, port: str) -> None:
    _, stack = stack_of(home)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        deaf = stack.with_ports({**stack.ports, port: listening.getsockname()[1]})
        assert check_health(name, deaf, os.getpid()) is Health.SILENT


def test_a_server_that_refuses_is_not_silent(home: Path) -> None:
    """Such as one that recovers, or has no connection left: killing it would make it worse."""
    up(home)
    _, stack = stack_of(home)
    foreign = Stack.generate(stack.ports)
    for name in SERVERS:
        assert check_health(name, foreign, os.getpid()) is Health.REFUSES


def test_up_says_what_new_options_change_and_nothing_else(home: Path) -> None:
    before = pids_of(up(home, slots=1, device="auto"))
    port = int(dotenv_values(home / "poseline.env")["POSELINE_FLOWER_PORT"] or 0)

    def said(**options: object) -> list[str]:
        steps: list[str] = []
        up(home, on_step=steps.append, **options)  # type: ignore[arg-type]
        return steps

    assert said(slots=1, device="auto", wanted_ports={"flower": port}) == []
    assert pids_of(status(home)) == before
    released = "; the chunks it holds are released"
    assert said(slots=2) == [f"restarting the worker with 2 slots instead of 1{released}"]
    assert said(slots=1, device="cpu") == [
        f"restarting the worker with 1 slot instead of 2 and on cpu instead of auto{released}",
        "restarting the live process on cpu instead of auto; sessions connect again",
    ]
    with socket.create_server(("127.0.0.1", 0)) as free:
        other = free.getsockname()[1]
    assert said(wanted_ports={"flower": other}) == [f"restarting Flower on port {other} instead of {port}"]
    assert {name for name, pid in pids_of(status(home)).items() if pid != before[name]} == {"worker", "flower", "live"}
