"""Watched buckets: added, claimed by one tick at a time, and how far their listings are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, delete, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.precision import Precision
from pipeline.core.watched_keys import KeyOrder
from pipeline.db.leases import after
from pipeline.db.tables import model, team, watch, watch_hint
from pipeline.db.teams import of_team
from pipeline.errors import LeaseLost

#: How long a watch waits after an error of the object store.
AGAIN_S = 30.0


@dataclass(frozen=True)
class NewWatch:
    """A prefix that is to be watched.

    Args:
        team_id: whose videos these are; None where the pattern names the team.
        settle_s: how long an object has to be the same before it is taken in.
        every_s: from one listing's end to the next one's beginning.
    """

    bucket: str
    prefix: str
    pattern: str
    team_id: UUID | None
    model_fingerprint: str
    settle_s: float
    every_s: float


@dataclass(frozen=True)
class WatchRow:
    """One watch.

    Args:
        key_order: in which the store lists.
        after_key: where the listing under way goes on; empty at its beginning.
        round_started_at: when it began; None where none is under way.
        counts: what it has found so far, by outcome.
        listed: what the last complete listing found, and how long it took.
        error: why the store could not be asked the last time.
    """

    id: UUID
    bucket: str
    prefix: str
    pattern: str
    team: str | None
    model_name: str
    model_fingerprint: str
    precision: Precision
    settle_s: float
    every_s: float
    created_at: datetime
    key_order: KeyOrder
    after_key: str
    round_started_at: datetime | None
    counts: Mapping[str, Any]
    listed: Mapping[str, Any] | None
    listed_at: datetime | None
    next_at: datetime
    error: str | None
    error_at: datetime | None

    @property
    def location(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class WatchClaim:
    """The right to go on with one watch.

    Args:
        lists: its listing is due, not only keys that were hinted at.
    """

    watch: WatchRow
    lists: bool
    token: UUID
    lease_s: float


def insert_watch(connection: Connection, new: NewWatch) -> UUID | None:
    """Add a watch. Returns its id, None where the same is watched already."""
    values = {field.name: getattr(new, field.name) for field in fields(new)}
    added = insert(watch).values(**values).on_conflict_do_nothing().returning(watch.c.id)
    watch_id: UUID | None = connection.execute(added).scalar_one_or_none()
    return watch_id


def select_watches(connection: Connection, *, team_name: str | None = None) -> list[WatchRow]:
    """Every watch, or those of one team, by bucket and prefix."""
    statement = of_team(_watches(), team_name).order_by(watch.c.bucket, watch.c.prefix, watch.c.pattern)
    return [_row(each) for each in connection.execute(statement).mappings()]


def delete_watch(connection: Connection, watch_id: UUID) -> None:
    """Remove a watch. What it took in stays."""
    connection.execute(delete(watch).where(watch.c.id == watch_id))


def claim_watch(connection: Connection, lease_s: float) -> WatchClaim | None:
    """Claim the watch that has waited longest of those that are due; None where none is."""
    now = func.clock_timestamp()
    hinted = select(watch_hint.c.watch_id).where(watch_hint.c.watch_id == watch.c.id, watch_hint.c.look_at <= now)
    due = (
        select(watch.c.id)
        .where(
            or_(watch.c.lease_until.is_(None), watch.c.lease_until < now),
            or_(watch.c.next_at <= now, watch.c.error.is_(None) & hinted.exists()),
        )
        .order_by(watch.c.worked_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    claimed = connection.execute(
        update(watch)
        .where(watch.c.id == due.scalar_subquery())
        .values(lease_token=func.gen_random_uuid(), lease_until=after(lease_s), worked_at=now)
        .returning(watch.c.id, watch.c.lease_token, (watch.c.next_at <= now).label("lists"))
    ).first()
    if claimed is None:
        return None
    row = connection.execute(_watches().where(watch.c.id == claimed.id)).mappings().one()
    return WatchClaim(_row(row), claimed.lists, claimed.lease_token, lease_s)


def hold(connection: Connection, claim: WatchClaim, **values: object) -> None:
    """Renew a claim and write down how far it is, in the caller's transaction.

    Raises:
        LeaseLost: another tick has it now, or the watch was removed.
    """
    held = update(watch).where(watch.c.id == claim.watch.id, watch.c.lease_token == claim.token)
    if connection.execute(held.values(lease_until=after(claim.lease_s), **values)).rowcount != 1:
        raise LeaseLost


def begin_round(connection: Connection, claim: WatchClaim) -> None:
    """Note that a listing begins."""
    hold(connection, claim, round_started_at=func.clock_timestamp(), after_key="", counts={})


def end_round(connection: Connection, claim: WatchClaim, found: Mapping[str, Any]) -> None:
    """Note that a listing is complete, what it found, and how long it took; the next begins in `every_s`."""
    now = func.clock_timestamp()
    took_s = connection.execute(
        select(func.extract("epoch", now - watch.c.round_started_at)).where(watch.c.id == claim.watch.id)
    ).scalar_one()
    hold(
        connection,
        claim,
        listed={**found, "took_s": round(float(took_s or 0), 3)},
        listed_at=now,
        next_at=after(claim.watch.every_s),
        round_started_at=null(),
        after_key="",
        counts={},
    )


def release(connection: Connection, claim: WatchClaim, error: str | None) -> None:
    """Give a claim back; with an error nothing is tried again for a while."""
    values: dict[str, Any] = {"lease_token": null(), "lease_until": null(), "worked_at": func.clock_timestamp()}
    if error is not None:
        values |= {"error": error, "error_at": func.clock_timestamp(), "next_at": after(AGAIN_S)}
    else:
        values |= {"error": null(), "error_at": null()}
    connection.execute(
        update(watch).where(watch.c.id == claim.watch.id, watch.c.lease_token == claim.token).values(**values)
    )


def _watches() -> Select[Any]:
    return (
        select(watch, team.c.name.label("team"), model.c.name.label("model_name"), model.c.precision)
        .join(team, team.c.id == watch.c.team_id, isouter=True)
        .join(model, model.c.fingerprint == watch.c.model_fingerprint)
    )


def _row(row: Mapping[Any, Any]) -> WatchRow:
    return WatchRow(**{field.name: row[field.name] for field in fields(WatchRow)})
