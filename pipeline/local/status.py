"""The state of a stack's services."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.local import ports
from pipeline.local.health import Health, check_health, is_stopped
from pipeline.local.home import PROCESSES, SERVERS, Home, Stack
from pipeline.local.state import ServiceState, State

_STARTING_S = 20.0  # a service that does not answer for longer than this is failing
_TROUBLE = {
    Health.SILENT: ("hung", "does not answer; see {log}"),
    Health.COMPUTES: ("busy", "does not answer, but computes; see {log}"),
    Health.UNKNOWN: ("waiting", "for a server that does not answer"),
    Health.REFUSES: ("failing", "does not answer as it should; see {log}"),
}


@dataclass(frozen=True)
class ServiceStatus:
    """One service and its state.

    "running": it answers. "starting": not yet. "hung": its process lives and does nothing. "busy": it does not answer,
    but computes. "waiting": for a server that does not answer. "failing": it ends, or answers wrongly. "stopped": it
    was not asked for.
    """

    name: str
    state: str
    pid: int | None
    port: int | None
    detail: str


@dataclass(frozen=True)
class StackStatus:
    """Every service of one home; those that were not asked for are "stopped". The supervisor, only if it is hung."""

    home: Path
    services: tuple[ServiceStatus, ...]

    @property
    def running(self) -> bool:
        """Whether at least one service was asked for, and all that were answer."""
        states = {service.state for service in self.services}
        return "running" in states and states <= {"running", "stopped"}


def _is_starting(service: ServiceState) -> bool:
    """Whether a service was started so lately that it need not answer yet."""
    return time.time() - service.started_at < _STARTING_S and not service.deaths


def iter_services(home: Home, stack: Stack) -> Iterator[ServiceStatus]:
    """Check each service, servers first, and before them the supervisor, if it is hung."""
    state = State.read(home)
    supervised = state.live_supervisor is not None
    if state.live_supervisor is not None and is_stopped(state.live_supervisor.pid):
        detail = "it was stopped by a signal, and what ends is not restarted"
        yield ServiceStatus("supervisor", "hung", state.live_supervisor.pid, None, detail)
    known, processes = state.services, state.processes
    alive = {name for name, process in processes.items() if process.alive}
    for name in (*SERVERS, *PROCESSES):
        port = stack.ports.get(ports.MAIN_PORT.get(name, ""))
        if name in alive:
            pid = processes[name].pid
            lost = "" if supervised else "its supervisor ended; run `poseline up`"
            health = check_health(name, stack, pid)
            if health is Health.ANSWERS:
                yield ServiceStatus(name, "running", pid, port, lost)
            elif health is not Health.UNKNOWN and _is_starting(known[name]) and not is_stopped(pid):
                yield ServiceStatus(name, "starting", pid, port, lost)
            else:
                found, detail = _TROUBLE[health]
                yield ServiceStatus(name, found, pid, port, detail.format(log=home.log(name)))
        elif name in known and supervised and not known[name].deaths:
            yield ServiceStatus(name, "starting", None, port, "")
        elif name in known and (supervised or alive):
            detail = known[name].detail or "ended with its supervisor; run `poseline up`"
            yield ServiceStatus(name, "failing", None, port, detail)
        else:
            yield ServiceStatus(name, "stopped", None, port, "")
