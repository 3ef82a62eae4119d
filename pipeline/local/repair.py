"""Find the services of a running stack that will not come back by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.local.health import Health, check_health
from pipeline.local.home import Home, Stack
from pipeline.local.processes import Process
from pipeline.local.state import State
from pipeline.local.status import STARTING_S

#: How long a service must be silent without a pause before it counts as hung: a machine under load answers sometimes.
WATCH_S = 10.0
_PAUSE_S = 0.5


@dataclass(frozen=True)
class Stuck:
    """A service to be started again.

    Args:
        start_id: of its process; "" where it has ended.
        reason: for people.
    """

    start_id: str
    reason: str


def find_stuck(home: Home, stack: Stack, names: Iterable[str]) -> Mapping[str, Stuck]:
    """The services that have ended and wait to be tried again, and those that are hung.

    Hung is one whose process lives and is silent for 10 s on end, and for longer than a start takes. One that
    computes, that refuses, or whose server does not answer is left alone. Takes no time where all answer.
    """
    services = State.read(home).services
    ended = {
        name: Stuck("", services[name].detail)
        for name in names
        if name in services and services[name].deaths and not _lives(services[name].process)
    }
    since = time.monotonic()
    suspects = {name: services[name] for name in names if name in services and _lives(services[name].process)}
    while suspects:
        suspects = {
            name: service
            for name, service in suspects.items()
            if service.process is not None
            and service.process.alive
            and check_health(name, stack, service.process.pid) is Health.SILENT
        }
        youngest_s = min((time.time() - service.started_at for service in suspects.values()), default=STARTING_S)
        if time.monotonic() - since >= WATCH_S and youngest_s >= STARTING_S:
            break
        if suspects:
            time.sleep(_PAUSE_S)
    hung = {name: Stuck(s.process.start_id, "it does not answer") for name, s in suspects.items() if s.process}
    return ended | hung


def _lives(process: Process | None) -> bool:
    return process is not None and process.alive
