"""The workers and queues of a system as the command line and the API show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pipeline.core.beat_report import BeatReport
from pipeline.db.engine import transaction
from pipeline.db.live_processes import LiveProcessRow, select_processes
from pipeline.db.pauses import Pause, select_pauses
from pipeline.db.pressure import Pressure, select_pressure
from pipeline.db.worker_deaths import RestartingWorker, select_restarting
from pipeline.db.workers import LostWorker, WorkerRow, count_leases, select_lost_workers, select_workers
from pipeline.queue import QUEUES
from pipeline.services.drain import Drain, drain_state
from pipeline.services.system import System


@dataclass(frozen=True)
class WorkerStatus:
    """One worker that reported lately, whether it answers through the broker, and what it has in hand."""

    worker: WorkerRow
    answers: bool
    drain: Drain

    def to_dict(self) -> dict[str, Any]:
        """The worker as JSON fields."""
        fields = asdict(self.worker)
        fields |= fields.pop("computes")
        fields = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}
        state = {"state": self.drain.state, "in_hand": self.drain.in_hand}
        return {**fields, "answers": self.answers, **state}


@dataclass(frozen=True)
class SystemStatus:
    """What runs.

    Args:
        workers: by name.
        queues: the number of messages that wait in each.
        lost: workers that stopped reporting within the last day.
        beat: its last tick; None where none ticks.
        paused: teams and lanes of which nothing more is sent.
        pressure: why no videos are taken in; empty while they are.
        restarting: workers that died several times within the last hour.
        live: the processes that take live sessions, those with room first.
    """

    workers: tuple[WorkerStatus, ...]
    queues: Mapping[str, int]
    lost: tuple[LostWorker, ...] = ()
    beat: BeatReport | None = None
    paused: tuple[Pause, ...] = ()
    pressure: tuple[Pressure, ...] = ()
    restarting: tuple[RestartingWorker, ...] = ()
    live: tuple[LiveProcessRow, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON fields."""
        return {
            "workers": [worker.to_dict() for worker in self.workers],
            "queues": dict(self.queues),
            "lost_workers": [{**asdict(each), "seen_at": each.seen_at.isoformat()} for each in self.lost],
            "restarting_workers": [asdict(each) for each in self.restarting],
            "beat": self.beat and asdict(self.beat),
            "live": [each.to_dict() for each in self.live],
            "paused": [{**asdict(each), "since": each.since.isoformat()} for each in self.paused],
            "ingest_paused": [{**asdict(each), "since": each.since.isoformat()} for each in self.pressure],
        }


def get_status(system: System) -> SystemStatus:
    """What works and what waits.

    Raises:
        ServiceUnavailable: Postgres or Redis does not answer.
    """
    with transaction(system.engine) as connection:
        workers, lost = select_workers(connection), select_lost_workers(connection)
        in_hand = count_leases(connection, [worker.name for worker in workers])
        paused, pressure = select_pauses(connection), select_pressure(connection)
        restarting = tuple(select_restarting(connection))
        live = tuple(select_processes(connection))
    answering = system.queue.ping_workers(limit=len(workers)) if workers else []
    return SystemStatus(
        tuple(
            WorkerStatus(worker, worker.name in answering, drain_state(worker, in_hand.get(worker.name, 0)))
            for worker in workers
        ),
        {name: system.queue.waiting(name) for name in QUEUES},
        tuple(lost),
        system.queue.last_beat(),
        tuple(paused),
        tuple(pressure),
        restarting,
        live,
    )
