"""Start, stop and inspect a whole stack on this machine: on loopback, without root or Docker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.errors import StackError, UsageError
from pipeline.local import ports
from pipeline.local.cluster import make_cluster, make_database, remove_stale_pid_file
from pipeline.local.control import SupervisorHung, launch, request_services, restart_services, wait_healthy
from pipeline.local.health import is_stopped
from pipeline.local.home import PROCESSES, RESTORING, SERVERS, TITLES, Home, Stack
from pipeline.local.processes import Process, end_stack_processes, iter_stack_processes, wait_gone
from pipeline.local.repair import find_stuck
from pipeline.local.servers import write_configs
from pipeline.local.state import DesiredState, State, supervisor
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
    "worker_to_replace",
]

_START_ATTEMPTS = 3

OnStep = Callable[[str], None]


def prepare_servers(settings: Settings) -> None:
    """Upgrade the database's schema and make the bucket."""
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
    wanted_ports: Mapping[str, int] | None = None,
    on_step: OnStep = lambda _: None,
    prepare: Callable[[Settings], None] = prepare_servers,
) -> StackStatus:
    """Start the services that do not run yet, restart those that failed or are hung, and wait until all answer.

    Args:
        home: where the stack keeps its data; made if missing.
        only: names from SERVERS and PROCESSES, all by default; a process starts the servers too. Others that run
            keep running.
        slots: of the worker; one per CPU by default.
        device: of the worker, as in `poseline worker --device`; by default that of the running stack, or "auto".
        wanted_ports: of `flower` and `web`; 5555 and 8080, or other free ones, by default.
        on_step: called with a line of text before each step.
        prepare: called when the servers answer, before Poseline's processes start; must be idempotent.

    Raises:
        UsageError: `only` names something unknown.
        StackError: a service did not start. What this call started is stopped again.
    """
    place = Home.at(home)
    names = _with_servers(only)
    if prepare is prepare_servers and (place.path / RESTORING).exists():
        raise StackError(
            f"a backup was not restored completely into {place.path}; repeat `poseline restore`, or remove that folder"
        )
    place.make()
    with place.locked():
        stack = place.read_stack()
        running = (process := supervisor(place)) is not None
        if process is not None and is_stopped(process.pid):
            slots, device = _replace_supervisor(place, process, slots, device, on_step)
            running = False
        if stack is not None and not running:
            _stop_all(place, stack)
        for attempt in range(_START_ATTEMPTS):
            before, stack = stack, _prepare_stack(place, stack, wanted_ports)
            try:
                if before is not None:
                    _announce_ports(place, before, stack, on_step)
                _start(place, stack, names, running, slots, device, on_step, prepare)
                break
            except BaseException as error:
                last = attempt == _START_ATTEMPTS - 1
                if isinstance(error, SupervisorHung) and not last and (process := supervisor(place)) is not None:
                    slots, device = _replace_supervisor(place, process, slots, device, on_step)
                    running = False
                    _stop_all(place, stack)
                    continue
                if running and isinstance(error, Exception) and not last and supervisor(place) is None:
                    running = False  # it ended meanwhile, and its servers are ending
                    _stop_all(place, stack)
                    continue
                if running:
                    raise
                _stop_all(place, stack)
                # Another program took one of our ports between the check and the start: choose others.
                raced = any(not ports.is_free(port) for port in stack.ports.values())
                if not (raced and isinstance(error, StackError)) or last:
                    raise
        return status(place.path)


def down(home: Path, on_step: OnStep = lambda _: None) -> StackStatus:
    """Stop every process of this home and wait until it has ended. It is no error if none runs.

    Raises:
        StackError: a process belongs to another user or does not end.
    """
    place = Home.at(home)
    if place.path.is_dir() and (stack := place.read_stack()) is not None:
        place.make()
        with place.locked():
            on_step("stopping the stack")
            _stop_all(place, stack)
    return status(place.path)


def status(home: Path) -> StackStatus:
    """The state of every service.

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
    """The device that the worker of a running stack was started with; None where none runs."""
    place = Home.at(home)
    if place.read_stack() is None or supervisor(place) is None:
        return None
    desired = DesiredState.read(place)
    return desired.device if "worker" in desired.services else None


def worker_to_replace(home: Path, slots: int | None, device: str | None) -> int | None:
    """The process of the running worker if `up` with these options replaces it; else None."""
    place = Home.at(home)
    if place.read_stack() is None or supervisor(place) is None:
        return None
    before = DesiredState.read(place)
    after = DesiredState(before.services, slots or before.slots, device or before.device)
    state = State.read(place).services.get("worker")
    changes = "worker" in before.services and _worker_change(before, after)
    return state.process.pid if changes and state is not None and state.process is not None else None


def _with_servers(only: Collection[str] | None) -> tuple[str, ...]:
    names = set(SERVERS + PROCESSES if only is None else only)
    if unknown := names - {*SERVERS, *PROCESSES}:
        raise UsageError(f"there is no service {sorted(unknown)[0]}; there are {', '.join(SERVERS + PROCESSES)}")
    if names & set(PROCESSES):
        names |= set(SERVERS)
    return tuple(name for name in SERVERS + PROCESSES if name in names)


def _prepare_stack(home: Home, stack: Stack | None, wanted: Mapping[str, int] | None) -> Stack:
    """Generate the secrets once, assign the ports, and write the servers' configuration."""
    state = State.read(home)
    running = state.services if state.live_supervisor else {}
    idle = [name for name in SERVERS + PROCESSES if name not in running]
    if stack is not None and home.original_of(stack) is not None:
        stack = stack.copied()
    assigned = ports.assign_ports(stack.ports if stack else {}, idle, wanted)
    new = (stack.with_ports(assigned) if stack else Stack.generate(assigned)).at(home.path)
    home.write_stack(new)
    write_configs(home, new)
    return new


def _start(
    home: Home,
    stack: Stack,
    names: tuple[str, ...],
    running: bool,
    slots: int | None,
    device: str | None,
    on_step: OnStep,
    prepare: Callable[[Settings], None],
) -> None:
    before = DesiredState.read(home) if running else DesiredState((), os.cpu_count() or 1)
    desired = DesiredState(before.services, slots or before.slots, device or before.device)
    if "worker" in before.services and (change := _worker_change(before, desired)):
        on_step(f"restarting the worker {change}; the chunks it holds are released")
    if "live" in before.services and before.device != desired.device:
        on_step(f"restarting the live process on {desired.device} instead of {before.device}; sessions connect again")
    new = [name for name in names if name not in desired.services]
    for name in new:
        if name in SERVERS:
            on_step(f"starting {TITLES[name]}")
    if not running:
        desired.write(home)
        launch(home)
    servers = [name for name in names if name in SERVERS]
    # Postgres starts last: SeaweedFS takes 3 s to start, in which the database cluster is made.
    desired = request_services(home, desired, [name for name in servers if name != "postgres"])
    if "postgres" in new:
        if make_cluster(home, stack):
            on_step("made the database cluster")
        remove_stale_pid_file(home)
    desired = request_services(home, desired, servers)
    desired = _restart_stuck(home, stack, desired, [name for name in servers if name not in new], on_step)
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
    desired = request_services(home, desired, names)
    processes = [name for name in names if name in PROCESSES]
    _restart_stuck(home, stack, desired, [name for name in processes if name not in new], on_step)
    wait_healthy(home, stack, processes)


def _restart_stuck(
    home: Home, stack: Stack, desired: DesiredState, names: Collection[str], on_step: OnStep
) -> DesiredState:
    stuck = find_stuck(home, stack, names)
    for name, each in stuck.items():
        on_step(f"restarting {TITLES.get(name, name)}: {each.reason}")
    return restart_services(home, desired, {name: each.start_id for name, each in stuck.items()}) if stuck else desired


def _worker_change(before: DesiredState, after: DesiredState) -> str:
    """What changes of the running worker's options, empty where nothing does."""
    changes = []
    if after.slots != before.slots:
        changes.append(f"with {after.slots} {'slot' if after.slots == 1 else 'slots'} instead of {before.slots}")
    if after.device != before.device:
        changes.append(f"on {after.device} instead of {before.device}")
    return " and ".join(changes)


def _replace_supervisor(
    home: Home, process: Process, slots: int | None, device: str | None, on_step: OnStep
) -> tuple[int | None, str | None]:
    """Kill a hung supervisor, whose services end with it. Returns the worker's options, or those it had if none."""
    on_step("restarting the stack: its supervisor is hung")
    with suppress(StackError):  # it was being stopped
        before = DesiredState.read(home)
        slots, device = slots or before.slots, device or before.device
    process.send(signal.SIGKILL)
    wait_gone([process], 10.0)
    return slots, device


def _announce_ports(home: Home, before: Stack, after: Stack, on_step: OnStep) -> None:
    running = DesiredState.read(home).services if supervisor(home) is not None else ()
    for name in ("flower", "web"):
        old, new = before.ports.get(name), after.ports[name]
        if name in running and old != new:
            on_step(f"restarting {TITLES[name]} on port {new} instead of {old}")


def _stop_all(home: Home, stack: Stack) -> None:
    if (process := supervisor(home)) is not None:
        process.send(signal.SIGKILL if is_stopped(process.pid) else signal.SIGTERM)
        for left in wait_gone([process], 45.0):
            left.send(signal.SIGKILL)
    known = [(name if name in SERVERS else "", each) for name, each in State.read(home).processes.items()]
    end_stack_processes(lambda: iter_stack_processes(home, stack, known))
    for path in (home.state_file, home.desired_state_file):
        path.unlink(missing_ok=True)
    # SeaweedFS leaves its sockets in /tmp when it is killed, and most of their paths cannot be set.
    for port in (stack.ports[name] for name in ports.PORTS_OF["seaweedfs"]):
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
            with suppress(OSError):
                if ports.is_free(port) and path.is_socket():
                    path.unlink()
