"""Pressure: parts of the system that are near their limits, for which nothing more is taken in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, delete, func, null, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.states import RunState, VideoState
from pipeline.db.leases import after
from pipeline.db.tables import pressure, run, video

#: The scratch disks of the workers; the size of the object store, and its own word that it is full; the database.
Part = Literal["disk", "store", "store-full", "database"]

#: A part that nobody has seen near its limit for this long is not any more, as when no tick runs.
CURRENT_S = 60.0


@dataclass(frozen=True)
class Pressure:
    """One part near its limit.

    Args:
        reason: what is short, and the fix.
    """

    part: Part
    reason: str
    since: datetime


def ingest_paused(connection: Connection) -> str | None:
    """Why no video is to be taken in now; None while there is room."""
    found = select_pressure(connection)
    return found[0].reason if found else None


def select_pressure(connection: Connection) -> list[Pressure]:
    """The parts that are near their limits, the longest first."""
    rows = connection.execute(
        select(pressure).where(pressure.c.seen_at > after(-CURRENT_S)).order_by(pressure.c.since, pressure.c.part)
    )
    return [Pressure(row.part, row.reason, row.since) for row in rows]


def put_pressure(connection: Connection, part: Part, reason: str) -> bool:
    """Note that a part is near its limit now. Returns whether that is new."""
    given = insert(pressure).values(part=part, reason=reason)
    seen = given.on_conflict_do_update(
        index_elements=["part"], set_={"reason": reason, "seen_at": func.clock_timestamp()}
    )
    known = connection.execute(select(pressure.c.part).where(pressure.c.part == part)).first() is not None
    connection.execute(seen)
    return not known


def clear_pressure(connection: Connection, part: Part) -> bool:
    """Note that a part has room again. Returns whether that is new."""
    return bool(connection.execute(delete(pressure).where(pressure.c.part == part)).rowcount)


def is_pressed(connection: Connection, part: Part) -> bool:
    """Whether a part was near its limit when it was last looked at."""
    return connection.execute(select(pressure.c.part).where(pressure.c.part == part)).first() is not None


def waits_for_ingest(connection: Connection, run_id: UUID) -> bool:
    """Whether a run waits for a video that no worker has begun to ingest."""
    statement = (
        select(run.c.id)
        .join(video, video.c.id == run.c.video_id)
        .where(run.c.id == run_id, run.c.state == RunState.WAITING)
        .where(video.c.state == VideoState.STORED, video.c.lease_token.is_(None))
    )
    return connection.execute(statement).first() is not None


def put_back_ingest(connection: Connection, video_id: UUID) -> None:
    """Note that the message of a video was not acted on, so that another is sent."""
    unclaimed = (video.c.id == video_id, video.c.state == VideoState.STORED, video.c.lease_token.is_(None))
    connection.execute(update(video).where(*unclaimed).values(queued_at=null()))


def database_bytes(connection: Connection) -> int:
    """The size of the database on disk."""
    size: int = connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one()
    return size


def stored_bytes(connection: Connection) -> int:
    """The size of the uploaded videos whose objects are ours and still stored."""
    size = connection.execute(
        select(func.coalesce(func.sum(video.c.size_bytes), 0)).where(video.c.owned, video.c.etag.is_not(None))
    ).scalar_one()
    return int(size)
