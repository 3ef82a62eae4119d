"""Leases: which worker owns a row, by the database's clock.

A video being ingested, a chunk being analysed, a run being finished and a proxy being made are leased in the same way:
the worker that holds the token owns the row until `lease_until`, renews the lease while it makes progress, and can
commit only with that token. What went wrong before is counted in three columns: an exception is an error; a worker
that lived and did not renew hung on the work, which is an expiration; a worker that died is a death, which may have any
cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, and_, false, func, not_, null, or_, select, update

from pipeline.core.states import ChunkState, ProxyState, RunState, State, VideoState
from pipeline.db.tables import chunk, proxy, run, video, worker, worker_death
from pipeline.db.transitions import move_to
from pipeline.errors import LeaseLost

LeaseKind = Literal["video", "chunk", "run", "proxy"]
#: As what a failed attempt counts.
Counts = Literal["error", "expiration", "death", "outage"]

_LEASED: dict[LeaseKind, tuple[Table, State]] = {
    "video": (video, VideoState.STORED),
    "run": (run, RunState.FINISHING),
    "chunk": (chunk, ChunkState.RUNNING),
    "proxy": (proxy, ProxyState.WANTED),
}

_MOST_DEATHS_IN_BACKOFF = 4
#: What waits for a server or for room goes on within a minute of its return, however long it was away.
_LONGEST_AFTER_OUTAGE_S = 30.0

#: The lease columns of a row that no worker owns.
UNLEASED: Mapping[str, Any] = {"lease_token": null(), "lease_until": null(), "queued_at": null()}


@dataclass(frozen=True)
class Lease:
    """The right to work on one row and to commit to it.

    Args:
        key: the row's primary key.
        errors, expirations, deaths: failed attempts before this one.
        worker: that holds it.
    """

    kind: LeaseKind
    key: tuple[UUID] | tuple[UUID, int]
    token: UUID = field(repr=False)
    errors: int = 0
    expirations: int = 0
    deaths: int = 0
    worker: str = ""

    @property
    def table(self) -> Table:
        return _LEASED[self.kind][0]

    @property
    def state(self) -> State:
        return _LEASED[self.kind][1]

    @property
    def id(self) -> UUID:
        """The video's id (also of a proxy), or the run's."""
        return self.key[0]

    @property
    def name(self) -> str:
        """The row's key as text, as `worker_death.held` has it."""
        return "/".join(map(str, self.key))

    def is_held(self) -> ColumnElement[bool]:
        """SQL: this row, still leased with this token."""
        columns = self.table.primary_key.columns
        return and_(
            self.table.c.lease_token == self.token,
            self.table.c.state == str(self.state),
            *(column == value for column, value in zip(columns, self.key, strict=True)),
        )


@dataclass(frozen=True)
class Abandoned:
    """A lease that nobody renews.

    Args:
        hung: its worker reported all the while, and did not renew; otherwise it died, or was cut off.
    """

    lease: Lease
    hung: bool


def after(seconds: float) -> ColumnElement[Any]:
    """SQL: so many seconds from now, by the database's clock."""
    return func.clock_timestamp() + timedelta(seconds=seconds)


def lease_values(holder: str, lease_s: float, table: Table) -> dict[str, Any]:
    """The columns that a claim writes."""
    return {
        "lease_token": func.gen_random_uuid(),
        "lease_until": after(lease_s),
        "leased_at": func.clock_timestamp(),
        "worker": holder,
        "attempts": table.c.attempts + 1,
    }


def renew_lease(connection: Connection, lease: Lease, lease_s: float, **progress: int) -> None:
    """Extend a lease by `lease_s` from now, and write progress columns.

    Raises:
        LeaseLost: it expired and was reclaimed, or the run was ended.
    """
    statement = update(lease.table).where(lease.is_held()).values(lease_until=after(lease_s), **progress)
    if lease.kind == "chunk":
        statement = statement.where(
            select(run.c.id).where(run.c.id == chunk.c.run_id, run.c.state == str(RunState.RUNNING)).exists()
        )
    if connection.execute(statement).rowcount != 1:
        raise LeaseLost


def release(
    connection: Connection,
    lease: Lease,
    *,
    error: str | None = None,
    backoff_s: float = 0.0,
    counts: Counts = "error",
    delay_s: float = 0.0,
) -> int | None:
    """Release work to be tried again: after `backoff_s`, doubled with each failure, or after `delay_s` without `error`.

    Args:
        error: what went wrong; None for a shutdown, which does not count as an attempt.
        counts: as what it counts. An outage delays the next attempt and counts as nothing.

    Returns:
        The row's errors so far, None where the lease was lost before.
    """
    table = lease.table
    values: dict[str, Any] = dict(UNLEASED)
    if error is None:
        values["attempts"] = table.c.attempts - 1
        if delay_s:
            values["not_before"] = after(delay_s)
    else:
        # Deaths lengthen the pause less: they may be nothing but a bad day for machines.
        failures = table.c.errors + table.c.expirations + func.least(table.c.deaths, _MOST_DEATHS_IN_BACKOFF)
        pause = (
            backoff(backoff_s, table.c.attempts, longest_s=_LONGEST_AFTER_OUTAGE_S)
            if counts == "outage"
            else backoff(backoff_s, failures)
        )
        values |= {"last_error": error, "not_before": func.clock_timestamp() + pause}
        if counts != "outage":
            column = table.c[f"{counts}s"]
            values[column.name] = column + 1
    statement = move_to(ChunkState.READY, **values) if lease.kind == "chunk" else update(table).values(**values)
    row = connection.execute(statement.where(lease.is_held()).returning(table.c.errors)).first()
    return None if row is None else int(row.errors)


def backoff(backoff_s: float, failures: ColumnElement[int], longest_s: float = math.inf) -> ColumnElement[Any]:
    """SQL: the delay after so many failures: doubled with each, at most 64 times the first or `longest_s`, and up to a
    quarter longer, so that what failed together in an outage does not come back all at once."""
    delay_s = func.least(backoff_s * func.power(2, func.least(failures, 6)), longest_s) * (1 + func.random() / 4)
    return func.make_interval(0, 0, 0, 0, 0, 0, delay_s)


def select_abandoned(
    connection: Connection, kind: LeaseKind, *, lease_s: float, heartbeat_s: float, gone_s: float, suspect_deaths: int
) -> Abandoned | None:
    """A lease that nobody renews, its row locked for the caller's transaction.

    A lease that ran out is left until it is known whether its worker lives: until that has reported since, or counts
    as dead (`worker_deaths.record_deaths`). That of a worker that is dead is not waited for.

    Args:
        lease_s, heartbeat_s: how long a lease lasts, and how often it is renewed.
        gone_s: a worker that has not reported for this long counts as dead.
        suspect_deaths: of work that has so many, leases are left until all deaths of that moment are known.
    """
    table, state = _LEASED[kind]
    renewed_at = table.c.lease_until - timedelta(seconds=lease_s)
    is_replaced = func.coalesce(worker.c.started_at > table.c.leased_at, false())
    is_gone = or_(worker.c.name.is_(None), worker_death.c.worker.is_not(None))
    lived_on = and_(not_(is_replaced), func.coalesce(worker.c.seen_at > table.c.lease_until, false()))
    is_due = or_(
        and_(table.c.lease_until < func.clock_timestamp(), or_(is_replaced, is_gone, lived_on)),
        and_(worker_death.c.worker.is_not(None), renewed_at < after(-gone_s)),
        and_(is_replaced, renewed_at < after(-2 * heartbeat_s)),
    )
    statement = (
        select(
            *table.primary_key.columns,
            *(table.c[name] for name in ("lease_token", "errors", "expirations", "deaths", "worker")),
            and_(lived_on, worker.c.reporting_since <= renewed_at).label("hung"),
        )
        .join_from(table, worker, worker.c.name == table.c.worker, isouter=True)
        .join(
            worker_death,
            and_(worker_death.c.worker == worker.c.name, worker_death.c.started_at == worker.c.started_at),
            isouter=True,
        )
        .where(
            table.c.state == str(state),
            is_due,
            or_(table.c.deaths < suspect_deaths, table.c.lease_until < after(-gone_s / 3)),
        )
        .order_by(func.random())  # one row that cannot be handled must not block the others
        .limit(1)
        .with_for_update(skip_locked=True, of=table)
    )
    if kind == "chunk":
        statement = statement.join(run, run.c.id == chunk.c.run_id).where(run.c.state == str(RunState.RUNNING))
    row = connection.execute(statement).first()
    if row is None:
        return None
    key = tuple(row)[: len(table.primary_key.columns)]
    lease = Lease(kind, key, row.lease_token, row.errors, row.expirations, row.deaths, row.worker)
    return Abandoned(lease, bool(row.hung))


def require_held(connection: Connection, lease: Lease) -> None:
    """Lock the leased row until the transaction ends.

    Raises:
        LeaseLost: it is not leased with this token any more.
    """
    held = select(lease.table.c.lease_token).where(lease.is_held()).with_for_update()
    if connection.execute(held).first() is None:
        raise LeaseLost
