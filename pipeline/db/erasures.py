"""Erasures: what was asked, what is still to be done for it, and the receipt.

What is to be done is in rows of `erasure_item`, of four kinds: `video` and `team`, whose rows go; `run`, whose frames
go after its row; and `object`. Each is done in a transaction that also writes down what was found of it, so that
whoever goes on after an interruption counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Text, cast, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.db.leases import after
from pipeline.db.tables import erasure, erasure_item, team

ItemKind = Literal["video", "run", "object", "team"]
#: What of a team is erased: named videos, those with a tag, or everything.
Scope = Literal["videos", "tag", "team"]


@dataclass(frozen=True)
class ErasureRow:
    """One erasure.

    Args:
        asked_sha256: of what was asked for; see `services.erase.receipt`.
        receipt: empty until it is finished.
    """

    id: UUID
    scope: Scope
    asked_sha256: str
    by: str
    requested_at: datetime
    finished_at: datetime | None
    receipt: Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """One thing to be done: an id as text or, with its bucket, an object's key."""

    kind: ItemKind
    key: str
    bucket: str = ""


def insert_erasure(connection: Connection, scope: Scope, asked_sha256: str, by: str, items: Collection[Item]) -> UUID:
    """Insert an erasure with what it has to do. Returns its id."""
    values = {"scope": scope, "asked_sha256": asked_sha256, "by": by}
    erasure_id: UUID = connection.execute(insert(erasure).values(**values).returning(erasure.c.id)).scalar_one()
    add_items(connection, erasure_id, items)
    return erasure_id


def add_items(connection: Connection, erasure_id: UUID, items: Collection[Item]) -> None:
    """Have an erasure do this, too; what it has to do already is left as it is."""
    if items:
        rows = [{"erasure_id": erasure_id, "kind": i.kind, "key": i.key, "bucket": i.bucket} for i in items]
        connection.execute(insert(erasure_item).on_conflict_do_nothing(), rows)


def mark_team(connection: Connection, team_id: UUID, erasure_id: UUID) -> None:
    """Have a team take nothing in any more."""
    connection.execute(update(team).where(team.c.id == team_id).values(erasure_id=erasure_id))


def lock_item(connection: Connection, erasure_id: UUID, kind: ItemKind, this: Item | None = None) -> Item | None:
    """Lock something of that kind that is still to be done, or this; None where there is nothing that nobody else does
    now."""
    waiting = select(erasure_item.c.key, erasure_item.c.bucket).where(
        erasure_item.c.erasure_id == erasure_id, erasure_item.c.kind == kind, erasure_item.c.done_at.is_(None)
    )
    if this is not None:
        waiting = waiting.where(erasure_item.c.key == this.key, erasure_item.c.bucket == this.bucket)
    waiting = waiting.order_by(erasure_item.c.key, erasure_item.c.bucket).limit(1).with_for_update(skip_locked=True)
    row = connection.execute(waiting).first()
    return None if row is None else Item(kind, row.key, row.bucket)


def has_open_items(connection: Connection, erasure_id: UUID, kind: ItemKind | None = None) -> bool:
    """Whether something is still to be done."""
    waiting = select(erasure_item.c.key).where(
        erasure_item.c.erasure_id == erasure_id, erasure_item.c.done_at.is_(None)
    )
    if kind is not None:
        waiting = waiting.where(erasure_item.c.kind == kind)
    return connection.execute(waiting.limit(1)).first() is not None


def note_found(connection: Connection, erasure_id: UUID, item: Item, found: Mapping[str, int]) -> None:
    """Write down what there is of a thing, before it is removed: by each name the most that was seen of it."""
    before = connection.execute(select(erasure_item.c.found).where(*_is(erasure_id, item))).scalar() or {}
    most = {name: max(number, before.get(name, 0)) for name, number in found.items()}
    connection.execute(update(erasure_item).where(*_is(erasure_id, item)).values(found=most))


def mark_done(connection: Connection, erasure_id: UUID, item: Item) -> None:
    """Note that a thing is done."""
    connection.execute(update(erasure_item).where(*_is(erasure_id, item)).values(done_at=func.clock_timestamp()))


def select_erasures(
    connection: Connection, ids: Collection[UUID] | None = None, *, limit: int | None = None
) -> list[ErasureRow]:
    """Erasures, the newest first: these, or every one."""
    statement = select(erasure).order_by(erasure.c.requested_at.desc(), erasure.c.id).limit(limit)
    if ids is not None:
        statement = statement.where(erasure.c.id.in_(ids))
    return [ErasureRow(**row) for row in connection.execute(statement).mappings()]


def find_erasures(connection: Connection, prefix: str) -> Sequence[UUID]:
    """The ids of erasures that begin so."""
    compact = func.replace(cast(erasure.c.id, Text), "-", "")
    wanted = prefix.lower().replace("-", "")
    return connection.execute(select(erasure.c.id).where(compact.startswith(wanted, autoescape=True))).scalars().all()


def select_unfinished(connection: Connection) -> list[UUID]:
    """Erasures that are not finished, the oldest first."""
    statement = select(erasure.c.id).where(erasure.c.finished_at.is_(None)).order_by(erasure.c.requested_at)
    return list(connection.execute(statement).scalars())


def lock_unfinished(connection: Connection, erasure_id: UUID) -> ErasureRow | None:
    """Lock an erasure that is not finished; None where it is, or is not there."""
    held = select(erasure).where(erasure.c.id == erasure_id, erasure.c.finished_at.is_(None)).with_for_update()
    row = connection.execute(held).mappings().first()
    return None if row is None else ErasureRow(**row)


def iter_items(connection: Connection, erasure_id: UUID) -> Iterator[tuple[Item, Mapping[str, int]]]:
    """Everything that an erasure had to do, with what was found of it."""
    statement = (
        select(erasure_item.c.kind, erasure_item.c.key, erasure_item.c.bucket, erasure_item.c.found)
        .where(erasure_item.c.erasure_id == erasure_id)
        .order_by(erasure_item.c.kind, erasure_item.c.key, erasure_item.c.bucket)
    )
    for row in connection.execute(statement):
        yield Item(row.kind, row.key, row.bucket), row.found or {}


def finish(connection: Connection, erasure_id: UUID, receipt: Mapping[str, Any], look_after_s: float) -> None:
    """Write the receipt. Ids are forgotten; objects are looked for again, for what was on its way to the store."""
    now = func.clock_timestamp()
    connection.execute(update(erasure).where(erasure.c.id == erasure_id).values(finished_at=now, receipt=dict(receipt)))
    of_erasure = erasure_item.c.erasure_id == erasure_id
    connection.execute(delete(erasure_item).where(of_erasure, erasure_item.c.kind != "object"))
    connection.execute(update(erasure_item).where(of_erasure).values(look_at=after(look_after_s)))


def lock_look(connection: Connection) -> tuple[UUID, Item, float] | None:
    """Lock an object that is to be looked for again, with the seconds since its erasure was finished; None where none
    is due."""
    due = (
        select(
            erasure_item.c.erasure_id,
            erasure_item.c.key,
            erasure_item.c.bucket,
            func.extract("epoch", func.clock_timestamp() - erasure.c.finished_at).label("age_s"),
        )
        .join(erasure, erasure.c.id == erasure_item.c.erasure_id)
        .where(erasure_item.c.look_at <= func.clock_timestamp())
        .order_by(erasure_item.c.look_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=erasure_item)
    )
    row = connection.execute(due).first()
    if row is None:
        return None
    return row.erasure_id, Item("object", row.key, row.bucket), float(row.age_s)


def look_later(connection: Connection, erasure_id: UUID, item: Item, seconds: float | None) -> None:
    """Look for an object again after that time; None to forget it."""
    if seconds is None:
        connection.execute(delete(erasure_item).where(*_is(erasure_id, item)))
    else:
        connection.execute(update(erasure_item).where(*_is(erasure_id, item)).values(look_at=after(seconds)))


def _is(erasure_id: UUID, item: Item) -> tuple[Any, ...]:
    columns = erasure_item.c
    return (
        columns.erasure_id == erasure_id,
        columns.kind == literal(item.kind),
        columns.key == item.key,
        columns.bucket == item.bucket,
    )
