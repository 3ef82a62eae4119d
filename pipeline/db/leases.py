"""Leases: which worker owns a row, by the database's clock.

A video being ingested, a chunk being analysed and a run being finished are leased in the same way: the worker that
holds the token owns the row until `lease_until`, renews the lease while it makes progress, and can commit only with
that token. A lease that runs out is an expiration (its worker died or hung), an exception is an error; Postgres counts
them separately.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, and_, func, null, select, update

from pipeline.core.states import ChunkState, RunState, State, VideoState
from pipeline.db.tables import chunk, run, video
from pipeline.db.transitions import move_to
from pipeline.errors import LeaseLost

LeaseKind = Literal["video", "chunk", "run"]

_LEASED: dict[LeaseKind, tuple[Table, State]] = {
    "video": (video, VideoState.STORED),
    "run": (run, RunState.FINISHING),
    "chunk": (chunk, ChunkState.RUNNING),
}

#: The lease columns of a row that no worker owns.
UNLEASED: Mapping[str, Any] = {"lease_token": null(), "lease_until": null(), "queued_at": null()}


@dataclass(frozen=True)
class Lease:
    """The right to work on one row and to commit to it.

    Args:
        key: the row's primary key.
        errors: failed attempts before this one.
    """

    kind: LeaseKind
    key: tuple[UUID] | tuple[UUID, int]
    token: UUID = field(repr=False)
    errors: int = 0

    @property
    def table(self) -> Table:
        return _LEASED[self.kind][0]

    @property
    def state(self) -> State:
        return _LEASED[self.kind][1]

    @property
    def id(self) -> UUID:
        """The video's id, or the run's."""
        return self.key[0]

    def is_held(self) -> ColumnElement[bool]:
        """SQL: this row, still leased with this token."""
        columns = self.table.primary_key.columns
        return and_(
            self.table.c.lease_token == self.token,
            self.table.c.state == str(self.state),
            *(column == value for column, value in zip(columns, self.key, strict=True)),
        )


def after(seconds: float) -> ColumnElement[Any]:
    """SQL: so many seconds from now, by the database's clock."""
    return func.clock_timestamp() + timedelta(seconds=seconds)


def lease_values(worker: str, lease_s: float, table: Table) -> dict[str, Any]:
    """The columns that a claim writes."""
    return {
        "lease_token": func.gen_random_uuid(),
        "lease_until": after(lease_s),
        "worker": worker,
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
    outage: bool = False,
) -> int | None:
    """Release work to be tried again: after `backoff_s`, doubled with each failure, or at once without `error`.

    An outage delays the next attempt but does not count as an error of the work; a shutdown does not count as an
    attempt. Returns the row's errors so far, None where the lease was lost before.
    """
    table = lease.table
    values: dict[str, Any] = dict(UNLEASED)
    if error is None:
        values["attempts"] = table.c.attempts - 1
    else:
        values |= {
            "errors": table.c.errors + (0 if outage else 1),
            "last_error": error,
            "not_before": func.clock_timestamp()
            + backoff(backoff_s, table.c.attempts if outage else table.c.errors + table.c.expirations),
        }
    statement = move_to(ChunkState.READY, **values) if lease.kind == "chunk" else update(table).values(**values)
    row = connection.execute(statement.where(lease.is_held()).returning(table.c.errors)).first()
    return None if row is None else int(row.errors)


def backoff(backoff_s: float, failures: ColumnElement[int]) -> ColumnElement[Any]:
    """SQL: the delay after so many failures: doubled with each, at most 64 times the first, and up to a quarter longer,
    so that what failed together in an outage does not come back all at once."""
    delay_s = backoff_s * func.power(2, func.least(failures, 6)) * (1 + func.random() / 4)
    return func.make_interval(0, 0, 0, 0, 0, 0, delay_s)


def select_expired(connection: Connection, kind: LeaseKind) -> tuple[Lease, int] | None:
    """A lease that ran out, its row locked for the caller's transaction, and the expirations counted so far."""
    table, state = _LEASED[kind]
    statement = (
        select(*table.primary_key.columns, table.c.lease_token, table.c.errors, table.c.expirations)
        .where(table.c.state == str(state), table.c.lease_until < func.clock_timestamp())
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
    return Lease(kind, key, row.lease_token, row.errors), row.expirations


def reclaim(connection: Connection, lease: Lease, backoff_s: float) -> None:
    """Free a row whose worker stopped renewing, after a delay: what killed one worker may kill the next."""
    table = lease.table
    values: dict[str, Any] = {
        **UNLEASED,
        "expirations": table.c.expirations + 1,
        "last_error": "its worker stopped responding",
        "not_before": func.clock_timestamp() + backoff(backoff_s, table.c.errors + table.c.expirations),
    }
    statement = move_to(ChunkState.READY, **values) if lease.kind == "chunk" else update(table).values(**values)
    connection.execute(statement.where(lease.is_held()))


def require_held(connection: Connection, lease: Lease) -> None:
    """Lock the leased row until the transaction ends.

    Raises:
        LeaseLost: it is not leased with this token any more.
    """
    held = select(lease.table.c.lease_token).where(lease.is_held()).with_for_update()
    if connection.execute(held).first() is None:
        raise LeaseLost
