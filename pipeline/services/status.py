"""The workers and queues of a system as the command line and the API show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pipeline.db.engine import transaction
from pipeline.db.workers import WorkerRow, select_workers
from pipeline.queue import QUEUES
from pipeline.services.system import System


@dataclass(frozen=True)
class WorkerStatus:
    """One worker that reported lately, and whether it answers through the broker."""

    worker: WorkerRow
    answers: bool

    def to_dict(self) -> dict[str, Any]:
        """The worker as JSON fields."""
        fields = asdict(self.worker)
        fields |= fields.pop("computes")
        fields = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}
        return {**fields, "answers": self.answers}


@dataclass(frozen=True)
class SystemStatus:
    """Workers by name, and the number of messages that wait in each queue."""

    workers: tuple[WorkerStatus, ...]
    queues: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON fields."""
        return {"workers": [worker.to_dict() for worker in self.workers], "queues": dict(self.queues)}


def get_status(system: System) -> SystemStatus:
    """What works and what waits.

    Raises:
        ServiceUnavailable: Postgres or Redis does not answer.
    """
    with transaction(system.engine) as connection:
        workers = select_workers(connection)
    answering = system.queue.ping_workers()
    return SystemStatus(
        tuple(WorkerStatus(worker, worker.name in answering) for worker in workers),
        {name: system.queue.waiting(name) for name in QUEUES},
    )
