"""Who owns a piece of work, by the database's clock.

A video being ingested, a chunk being analysed and a run being finished are leased alike: whoever holds the token owns
the row until `lease_until`, renews it while it makes progress, and may commit only with that token. A lease that
lapses is a kill (its worker died silently); an exception is an error; both count, apart, in Postgres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, and_, func, null, select, update

from pipeline.core.states import ChunkState, RunState, State, VideoState
from pipeline.db.tables import chunk, run, video
from pipeline.db.transitions import move_to
from pipeline.errors import LeaseLost

_LEASED: dict[str, tuple[Table, State]] = {
    "video": (video, VideoState.STORED),
    "run": (run, RunState.FINISHING),
    "chunk": (chunk, ChunkState.RUNNING),
}

#: What a row looks like when nobody works on it.
UNLEASED: Mapping[str, Any] = {"lease_token": null(), "lease_until": null(), "queued_at": null()}


@dataclass(frozen=True)
class Lease:
    """A right to work on one row, and to commit to it."""

    kind: str
    key: tuple[UUID] | tuple[UUID, int]
    token: UUID = field(repr=False)

    @property
    def table(self) -> Table:
        return _LEASED[self.kind][0]

    @property
    def state(self) -> State:
        return _LEASED[self.kind][1]

    def is_held(self) -> ColumnElement[bool]:
        """SQL: this row, still leased to this token."""
        columns = self.table.primary_key.columns
        return and_(
            self.table.c.lease_token == self.token,
            self.table.c.state == str(self.state),
            *(column == value for column, value in zip(columns, self.key, strict=True)),
        )


def after(seconds: float) -> ColumnElement[Any]:
    """SQL: that long from now, by the database's clock."""
    return func.clock_timestamp() + timedelta(seconds=seconds)


def lease_values(worker: str, lease_s: float, table: Table) -> dict[str, Any]:
    """What a claim writes."""
    return {
        "lease_token": func.gen_random_uuid(),
        "lease_until": after(lease_s),
        "worker": worker,
        "attempts": table.c.attempts + 1,
    }


def renew_lease(connection: Connection, lease: Lease, lease_s: float, **progress: int) -> None:
    """Keep a lease for another `lease_s`, and note progress.

    Raises:
        LeaseLost: it lapsed and was taken back, or the run was ended.
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
    """Give work back, to be tried again after `backoff_s` doubled with each failure; without `error` at once.

    An outage is noted and paused for, but is not the work's own failure. A shutdown is no attempt at all. Returns how
    many errors the row has now, None where the lease was lost anyway.
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
    """SQL: the pause after so many failures: doubling, at most 64 times the first."""
    return func.make_interval(0, 0, 0, 0, 0, 0, backoff_s * func.power(2, func.least(failures, 6)))


def reclaim_expired(connection: Connection, kind: str, backoff_s: float) -> list[tuple[UUID, int]]:
    """Free the videos or runs whose worker fell silent, after a pause. Returns each with its expirations so far."""
    table, state = _LEASED[kind]
    rows = connection.execute(
        update(table)
        .where(table.c.state == str(state), table.c.lease_until < func.clock_timestamp())
        .values(
            **UNLEASED,
            expirations=table.c.expirations + 1,
            last_error="the worker fell silent",
            not_before=func.clock_timestamp() + backoff(backoff_s, table.c.errors + table.c.expirations),
        )
        .returning(table.c.id, table.c.expirations)
    )
    return [(row.id, row.expirations) for row in rows]
