"""Workers that died: which process, when, and what it held.

A process that stops reporting without having been stopped has died: it was killed, crashed, or lost its machine. One
that is only cut off from Postgres looks the same until it reports again; its row is removed then. A start is noted as a
death until it has succeeded, so that a worker that crashes while it starts is seen, too; it has no `held`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, CursorResult, any_, delete, exists, func, insert, literal, not_, select, text

from pipeline.db.leases import Lease, after
from pipeline.db.tables import worker, worker_death

#: A worker that died so often within an hour is restarting again and again.
RESTARTS = 3
_KEPT = timedelta(days=7)

_RECORD = """
INSERT INTO worker_death (worker, started_at, died_at, held)
SELECT w.name, w.started_at, w.seen_at, ARRAY(
    SELECT run_id || '/' || idx FROM chunk WHERE state = 'running' AND worker = w.name AND lease_token IS NOT NULL
    UNION ALL
    SELECT id::text FROM run WHERE state = 'finishing' AND worker = w.name AND lease_token IS NOT NULL
    UNION ALL
    SELECT id::text FROM video WHERE state = 'stored' AND worker = w.name AND lease_token IS NOT NULL
    UNION ALL
    SELECT video_id::text FROM proxy WHERE state = 'wanted' AND worker = w.name AND lease_token IS NOT NULL
) FROM worker w WHERE {condition}
ON CONFLICT DO NOTHING
RETURNING worker, cardinality(held) AS leases
"""
_RECORD_SILENT = text(_RECORD.format(condition="w.seen_at < clock_timestamp() - make_interval(secs => :gone_s)"))
_RECORD_REPLACED = text(_RECORD.format(condition="w.name = :name"))


@dataclass(frozen=True)
class Death:
    """A worker process that died.

    Args:
        leases: the videos, chunks and runs that it held.
    """

    worker: str
    leases: int


@dataclass(frozen=True)
class RestartingWorker:
    """A worker that died several times within the last hour.

    Args:
        name: the worker's, or `workers on HOST` where each process has a name of its own.
        ago_s: since the last of them, by the database's clock.
    """

    name: str
    deaths: int
    ago_s: float


def record_deaths(connection: Connection, gone_s: float) -> list[Death]:
    """Record the workers that stopped reporting `gone_s` ago, and forget that of those that report again.

    Returns those that were not known to be dead.
    """
    connection.execute(
        delete(worker_death).where(
            worker.c.name == worker_death.c.worker,
            worker.c.started_at == worker_death.c.started_at,
            worker.c.seen_at > worker_death.c.died_at,
        )
    )
    return _deaths(connection.execute(_RECORD_SILENT, {"gone_s": gone_s}))


def record_replaced(connection: Connection, name: str) -> list[Death]:
    """Record the death of the process that had this name, whose row is still there."""
    return _deaths(connection.execute(_RECORD_REPLACED, {"name": name}))


def note_start(connection: Connection, name: str) -> None:
    """Note that a worker is about to start: until `note_started`, that counts as its death."""
    now = func.now()  # twice the same: the transaction's
    connection.execute(insert(worker_death).values(worker=name, started_at=now, died_at=now))


def note_started(connection: Connection, name: str) -> None:
    """Forget the note of this worker's latest start, which succeeded."""
    latest = select(func.max(worker_death.c.started_at)).where(
        worker_death.c.worker == name, worker_death.c.held.is_(None)
    )
    connection.execute(
        delete(worker_death).where(worker_death.c.worker == name, worker_death.c.started_at == latest.scalar_subquery())
    )


def select_restarting(connection: Connection) -> list[RestartingWorker]:
    """The workers that died at least `RESTARTS` times within the last hour, the most often first."""
    ago_s = func.extract("epoch", func.clock_timestamp() - worker_death.c.died_at)
    rows = connection.execute(
        select(worker_death.c.worker, ago_s.label("ago_s")).where(worker_death.c.died_at > after(-3600))
    ).all()
    by_name: dict[str, list[float]] = defaultdict(list)
    by_host: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        by_name[row.worker].append(float(row.ago_s))
    for name, times in list(by_name.items()):
        if len(times) < RESTARTS:
            by_host[workers_on(name)] += by_name.pop(name)
    found = [
        RestartingWorker(name, len(times), min(times))
        for name, times in (by_name | by_host).items()
        if len(times) >= RESTARTS
    ]
    return sorted(found, key=lambda each: -each.deaths)


def workers_on(name: str) -> str:
    """What workers of this worker's host are called together, which have a new name with each start."""
    return f"workers on {name.rpartition('@')[2]}"


def others_died(connection: Connection, lease: Lease, within_s: float, late_s: float) -> bool:
    """Whether other worker processes died lately than those that held this work.

    Args:
        late_s: a worker that has not reported for this long may have died, too.
    """
    died = exists().where(
        worker_death.c.died_at > after(-within_s),
        worker_death.c.held.is_not(None),  # one that does not start is no sign of bad times
        not_(literal(lease.name) == any_(worker_death.c.held)),
    )
    silent = exists().where(worker.c.seen_at.between(after(-within_s), after(-late_s)), worker.c.name != lease.worker)
    return bool(connection.execute(select(died | silent)).scalar_one())


def others_lived(connection: Connection, lease: Lease, late_s: float) -> bool:
    """Whether another worker reported all the while in which this work was leased the last time."""
    leased_at = select(lease.table.c.leased_at).where(lease.is_held()).scalar_subquery()
    lived = exists().where(
        worker.c.name != lease.worker, worker.c.seen_at > after(-late_s), worker.c.reporting_since < leased_at
    )
    return bool(connection.execute(select(lived)).scalar_one())


def delete_old_deaths(connection: Connection) -> None:
    """Delete what is no longer of interest."""
    connection.execute(delete(worker_death).where(worker_death.c.died_at < func.clock_timestamp() - _KEPT))


def _deaths(rows: CursorResult[Any]) -> list[Death]:
    return [Death(row.worker, row.leases) for row in rows]
