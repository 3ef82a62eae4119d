"""The state of a stack's services."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.local import ports
from pipeline.local.health import is_healthy
from pipeline.local.home import PROCESSES, SERVERS, Home, Stack
from pipeline.local.state import State

_STARTING_S = 20.0  # a service that does not answer for longer than this is failing


@dataclass(frozen=True)
class ServiceStatus:
    """One service. `state` is "running", "starting", "stopped" or "failing"."""

    name: str
    state: str
    pid: int | None
    port: int | None
    detail: str


@dataclass(frozen=True)
class StackStatus:
    """Every service of one home; those that were not asked for are "stopped"."""

    home: Path
    services: tuple[ServiceStatus, ...]

    @property
    def running(self) -> bool:
        """Whether at least one service was asked for, and all that were answer."""
        states = {service.state for service in self.services}
        return "running" in states and states <= {"running", "stopped"}


def iter_services(home: Home, stack: Stack) -> Iterator[ServiceStatus]:
    """Check each service, servers first."""
    state = State.read(home)
    supervised = state.live_supervisor is not None
    known, processes = state.services, state.processes
    alive = {name for name, process in processes.items() if process.alive}
    for name in (*SERVERS, *PROCESSES):
        port = stack.ports.get(ports.MAIN_PORT.get(name, ""))
        if name in alive:
            pid = processes[name].pid
            lost = "" if supervised else "its supervisor ended; run `poseline up`"
            if is_healthy(name, stack, pid):
                yield ServiceStatus(name, "running", pid, port, lost)
            elif time.time() - known[name].started_at < _STARTING_S and not known[name].deaths:
                yield ServiceStatus(name, "starting", pid, port, lost)
            else:
                yield ServiceStatus(name, "failing", pid, port, f"does not answer; see {home.log(name)}")
        elif name in known and supervised and not known[name].deaths:
            yield ServiceStatus(name, "starting", None, port, "")
        elif name in known and (supervised or alive):
            detail = known[name].detail or "ended with its supervisor; run `poseline up`"
            yield ServiceStatus(name, "failing", None, port, detail)
        else:
            yield ServiceStatus(name, "stopped", None, port, "")
