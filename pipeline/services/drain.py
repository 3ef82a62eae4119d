"""Drain workers for a deploy: each takes nothing more and finishes what it has in hand, so that stopping it costs
nothing.

A worker is drained until this is undone or it is started again. It learns so from Postgres with its reports; a message
through Redis has it report at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pipeline.db.engine import transaction
from pipeline.db.workers import WorkerRow, count_leases, select_workers, set_draining
from pipeline.errors import UnknownWorker
from pipeline.services.system import System

DrainState = Literal["working", "draining", "drained", "gone"]


@dataclass(frozen=True)
class Drain:
    """How far a worker is.

    Args:
        in_hand: the videos, chunks and runs that it works on.
        since: when it began to drain.
        started_at: which process it is.
    """

    worker: str
    state: DrainState
    in_hand: int
    since: datetime | None
    started_at: datetime

    def to_dict(self) -> dict[str, object]:
        """The worker's state as JSON fields."""
        since = self.since and self.since.isoformat()
        return {"worker": self.worker, "state": self.state, "in_hand": self.in_hand, "draining_since": since}

    def in_words(self) -> str:
        """The worker's state for people."""
        if self.state == "draining":
            return f"draining, {self.in_hand} in hand" if self.in_hand else "draining"
        return {"working": "takes work", "drained": "drained", "gone": "stopped"}[self.state]


def drain(system: System, workers: Sequence[Drain], *, undo: bool = False) -> None:
    """Have workers take nothing more, or take work again."""
    names = [each.worker for each in workers]
    with transaction(system.engine) as connection:
        set_draining(connection, names, draining=not undo)
    system.queue.ask_for_reports(names)


def find_workers(system: System, names: Sequence[str]) -> list[Drain]:
    """Live workers by their names, the part after the `@` may be left out.

    Raises:
        UnknownWorker: there is none, or several may be meant.
    """
    live = _drains(system)
    found: dict[str, Drain] = {}
    for name in names:
        meant = [each for each in live if name in {each.worker, each.worker.partition("@")[0]}]
        if not meant:
            known = ", ".join(each.worker for each in live) or "none is alive"
            raise UnknownWorker(f"no worker is called {name!r}; workers: {known}")
        if len(meant) > 1:
            listed = ", ".join(each.worker for each in meant)
            raise UnknownWorker(f"{name!r} may be {len(meant)} workers: {listed}; name one in full")
        found[meant[0].worker] = meant[0]
    return list(found.values())


def workers_of_process(system: System, pid: int) -> list[Drain]:
    """The live worker that this process is; none where it does not report."""
    with transaction(system.engine) as connection:
        names = {worker.name for worker in select_workers(connection) if worker.pid == pid}
    return [each for each in _drains(system) if each.worker in names]


def follow(system: System, workers: Sequence[Drain]) -> list[Drain]:
    """The same workers as they are now; one that has ended, or was started again, is gone."""
    live = {each.worker: each for each in _drains(system)}
    return [
        now
        if (now := live.get(each.worker)) is not None and now.started_at == each.started_at
        else Drain(each.worker, "gone", 0, None, each.started_at)
        for each in workers
    ]


def count_taking_work(system: System) -> int:
    """How many workers take work."""
    return sum(each.state == "working" for each in _drains(system))


def drain_state(worker: WorkerRow, in_hand: int) -> Drain:
    """How far a worker is with draining."""
    state: DrainState = "draining"
    if worker.draining_at is None:
        state = "working"
    elif worker.drained_at is not None and not in_hand:
        state = "drained"
    return Drain(worker.name, state, in_hand, worker.draining_at, worker.started_at)


def _drains(system: System) -> list[Drain]:
    with transaction(system.engine) as connection:
        workers = select_workers(connection)
        in_hand = count_leases(connection, [worker.name for worker in workers])
    return [drain_state(worker, in_hand.get(worker.name, 0)) for worker in workers]
