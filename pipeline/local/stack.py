"""`poseline up`, `down` and `status`: a whole stack on this machine, on loopback, without root or Docker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.errors import StackError, UsageError
from pipeline.local import ports
from pipeline.local.cluster import forget_stale_pid, make_cluster, make_database
from pipeline.local.control import DesiredState, launch, record, recorded, supervisor, wait_healthy
from pipeline.local.home import PROCESSES, SERVERS, TITLES, Home, Stack
from pipeline.local.processes import end_stack_processes, iter_stack_processes, wait_gone
from pipeline.local.servers import write_configs
from pipeline.local.status import ServiceStatus, StackStatus, iter_services
from pipeline.settings import Settings

__all__ = [
    "PROCESSES",
    "SERVERS",
    "ServiceStatus",
    "StackStatus",
    "down",
    "prepare_servers",
    "status",
    "up",
    "worker_device",
]

_START_ATTEMPTS = 3

OnStep = Callable[[str], None]


def prepare_servers(settings: Settings) -> None:
    """Bring the database to this version's tables and make the bucket."""
    from pipeline.db.migrate import upgrade  # noqa: PLC0415 - only `up` needs them
    from pipeline.storage.objects import build_object_store  # noqa: PLC0415

    upgrade(settings.database_url.get_secret_value())
    build_object_store(settings).ensure_bucket()


def up(
    home: Path,
    *,
    only: Collection[str] | None = None,
    slots: int | None = None,
    device: str | None = None,
    flower_port: int | None = None,
    on_step: OnStep = lambda _: None,
    prepare: Callable[[Settings], None] = prepare_servers,
) -> StackStatus:
    """Start what does not run yet and wait until all of it answers.

    Args:
        home: where the stack keeps its data; made if it is not there.
        only: names from SERVERS and PROCESSES; processes bring the servers along. What runs already stays.
        slots: of the worker; as many as there are processors by default.
        device: of the worker, as `poseline worker` takes it; by default that of the running stack, or "auto".
        flower_port: where Flower shall listen; 5555 or another free one by default.
        on_step: told what happens, for people.
        prepare: run when the servers answer and before Poseline's processes start; must bear repetition.

    Raises:
        UsageError: `only` names something unknown.
        StackError: something did not start. What this call started is stopped again.
    """
    place = Home.at(home)
    names = _with_servers(only)
    place.make()
    with place.locked():
        running = supervisor(place) is not None
        stack = place.read_stack()
        if stack is not None and not running:
            _take_down(place, stack)
        for attempt in range(_START_ATTEMPTS):
            stack = _settle(place, stack, flower_port)
            try:
                _start(place, stack, names, slots, device, on_step, prepare)
                break
            except BaseException as error:
                if running:
                    raise
                _take_down(place, stack)
                # Somebody took one of our ports between the look and the start: look again.
                raced = any(not ports.is_free(port) for port in stack.ports.values())
                if not (raced and isinstance(error, StackError)) or attempt == _START_ATTEMPTS - 1:
                    raise
        return status(place.path)


def down(home: Path, on_step: OnStep = lambda _: None) -> StackStatus:
    """Stop everything of this home and wait until it is gone. Nothing running is fine.

    Raises:
        StackError: something belongs to another user or does not end.
    """
    place = Home.at(home)
    if place.path.is_dir() and (stack := place.read_stack()) is not None:
        place.make()
        with place.locked():
            on_step("stopping the stack")
            _take_down(place, stack)
    return status(place.path)


def status(home: Path) -> StackStatus:
    """What runs and answers now.

    Raises:
        StackError: the home cannot be read.
    """
    place = Home.at(home)
    stack = place.read_stack()
    if stack is None:
        return StackStatus(
            place.path, tuple(ServiceStatus(n, "stopped", None, None, "") for n in (*SERVERS, *PROCESSES))
        )
    return StackStatus(place.path, tuple(iter_services(place, stack)))


def worker_device(home: Path) -> str | None:
    """What the worker of a running stack was asked to compute on; None where none runs."""
    place = Home.at(home)
    if place.read_stack() is None or supervisor(place) is None:
        return None
    wish = DesiredState.of(place)
    return wish.device if "worker" in wish.services else None


def _with_servers(only: Collection[str] | None) -> tuple[str, ...]:
    names = set(SERVERS + PROCESSES if only is None else only)
    if unknown := names - {*SERVERS, *PROCESSES}:
        raise UsageError(f"there is no service {sorted(unknown)[0]}; there are {', '.join(SERVERS + PROCESSES)}")
    if names & set(PROCESSES):
        names |= set(SERVERS)
    return tuple(name for name in SERVERS + PROCESSES if name in names)


def _settle(home: Home, stack: Stack | None, flower_port: int | None) -> Stack:
    """Make the secrets once, and keep every port that is still free."""
    running = record(home).get("services", {}) if supervisor(home) else {}
    idle = [name for name in SERVERS + PROCESSES if name not in running]
    settled = ports.settle(stack.ports if stack else {}, idle, flower_port)
    new = stack.with_ports(settled) if stack else Stack(ports=settled)
    home.write_stack(new)
    write_configs(home, new)
    return new


def _start(
    home: Home,
    stack: Stack,
    names: tuple[str, ...],
    slots: int | None,
    device: str | None,
    on_step: OnStep,
    prepare: Callable[[Settings], None],
) -> None:
    wish = DesiredState.of(home) if supervisor(home) else DesiredState((), os.cpu_count() or 1)
    wish = DesiredState(wish.services, slots or wish.slots, device or wish.device)
    new = [name for name in names if name not in wish.services]
    for name in new:
        if name in SERVERS:
            on_step(f"starting {TITLES[name]}")
    if not supervisor(home):
        wish.write(home)
        launch(home)
    servers = [name for name in names if name in SERVERS]
    # Postgres comes last: SeaweedFS takes three seconds, enough to make the cluster meanwhile.
    wish = wish.plus(home, [name for name in servers if name != "postgres"])
    if "postgres" in new:
        if make_cluster(home, stack):
            on_step("made the database cluster")
        forget_stale_pid(home)
    wish = wish.plus(home, servers)
    wait_healthy(home, stack, servers)
    if "postgres" in servers:
        make_database(stack)
    if set(SERVERS) <= set(servers):
        if new:
            on_step("preparing the database and the bucket")
        values: dict[str, Any] = {k.removeprefix("POSELINE_").lower(): v for k, v in stack.env.items()}
        prepare(Settings(**values, home=home.path))
    for name in new:
        if name in PROCESSES:
            on_step(f"starting {TITLES.get(name, name)}")
    wish.plus(home, names)
    wait_healthy(home, stack, [name for name in names if name in PROCESSES])


def _take_down(home: Home, stack: Stack) -> None:
    if (boss := supervisor(home)) is not None:
        boss.send(signal.SIGTERM)
        for left in wait_gone([boss], 45.0):
            left.send(signal.SIGKILL)
    known = [(name if name in SERVERS else "", process) for name, process in recorded(home).items()]
    end_stack_processes(lambda: iter_stack_processes(home, stack, known))
    for path in (home.state_file, home.wanted_file):
        path.unlink(missing_ok=True)
    # SeaweedFS leaves its sockets in /tmp when it is not waited for, and has no setting for most of them.
    for port in (stack.ports[name] for name in ports.PORTS_OF["seaweedfs"]):
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
            with suppress(OSError):
                if ports.is_free(port) and path.is_socket():
                    path.unlink()
