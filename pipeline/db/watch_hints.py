"""Hints: keys of watched buckets to look at before the next listing comes to them. Few, and never needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Float, Text, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from pipeline.db.leases import after
from pipeline.db.tables import watch_hint

#: Of one watch: more are dropped, and the listing finds their objects.
MOST_HINTS = 10_000


def put_hints(connection: Connection, watch_id: UUID, looks: Mapping[str, float]) -> int:
    """Note keys to look at, in so many seconds each; of one that is noted already the later time counts.

    Returns how many there was room for.
    """
    waiting = connection.execute(select(func.count()).where(watch_hint.c.watch_id == watch_id)).scalar_one()
    kept = dict(list(looks.items())[: max(0, MOST_HINTS - waiting)])
    if not kept:
        return 0
    given = func.unnest(literal(list(kept), ARRAY(Text)), literal(list(kept.values()), ARRAY(Float)))
    looked = given.table_valued("object_key", "in_s", name="looked").render_derived()
    rows = select(
        literal(watch_id, watch_hint.c.watch_id.type),
        looked.c.object_key,
        func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, looked.c.in_s),
    )
    put = insert(watch_hint).from_select(["watch_id", "object_key", "look_at"], rows)
    connection.execute(
        put.on_conflict_do_update(
            index_elements=["watch_id", "object_key"],
            set_={"look_at": func.greatest(watch_hint.c.look_at, put.excluded.look_at)},
        )
    )
    return len(kept)


def select_due_hints(connection: Connection, watch_id: UUID, most: int) -> list[str]:
    """The keys to look at now, the longest due first."""
    due = select(watch_hint.c.object_key).where(watch_hint.c.watch_id == watch_id, watch_hint.c.look_at <= after(0))
    return list(connection.execute(due.order_by(watch_hint.c.look_at).limit(most)).scalars())


def delete_hints(connection: Connection, watch_id: UUID, keys: Collection[str]) -> None:
    """Forget keys that were looked at."""
    if keys:
        looked_at = watch_hint.c.object_key == func.any(literal(list(keys), ARRAY(Text)))
        connection.execute(delete(watch_hint).where(watch_hint.c.watch_id == watch_id, looked_at))


def count_hints(connection: Connection, watch_id: UUID) -> int:
    """How many keys wait to be looked at."""
    count: int = connection.execute(select(func.count()).where(watch_hint.c.watch_id == watch_id)).scalar_one()
    return count
