"""Delete the frames of runs that are gone, in batches.

A trigger notes each run that is deleted; from then on no view and no query gives its frames. They are deleted by their
numbers, each batch in a transaction of its own, and the place reached is kept: to look for the first that is left would
read all dead rows before it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Text, cast, delete, func, select, update

from pipeline.db.tables import erasure_item, frame, frame_removal

#: By `tests.benchmarks.deleting` a batch takes about 3 ms.
BATCH_FRAMES = 2000


@dataclass(frozen=True)
class Removed:
    """One batch: of which run, how many frames, and whether they were the last."""

    run_id: UUID
    frames: int
    last: bool


def remove_batch(connection: Connection, run_id: UUID | None = None) -> Removed | None:
    """Delete one batch of frames of the run that was deleted first, or of this one. None where there is none that no
    other transaction works on."""
    waiting = select(frame_removal.c.run_id, frame_removal.c.next_frame, frame_removal.c.last_frame)
    if run_id is not None:
        waiting = waiting.where(frame_removal.c.run_id == run_id)
    waiting = waiting.order_by(frame_removal.c.requested_at, frame_removal.c.run_id).limit(1)
    row = connection.execute(waiting.with_for_update(skip_locked=True)).first()
    if row is None:
        return None
    last_frame = row.last_frame
    if last_frame is None:
        newest = select(frame.c.frame).where(frame.c.run_id == row.run_id).order_by(frame.c.frame.desc()).limit(1)
        last_frame = connection.execute(newest).scalar_one_or_none()
        last_frame = -1 if last_frame is None else last_frame
    end = row.next_frame + BATCH_FRAMES
    span = (frame.c.run_id == row.run_id, frame.c.frame >= row.next_frame, frame.c.frame < end)
    frames = connection.execute(delete(frame).where(*span)).rowcount
    this = frame_removal.c.run_id == row.run_id
    values = {"next_frame": end, "last_frame": last_frame, "removed": frame_removal.c.removed + frames}
    removed = connection.execute(
        update(frame_removal).where(this).values(**values).returning(frame_removal.c.removed)
    ).scalar_one()
    if end <= last_frame:
        return Removed(row.run_id, frames, last=False)
    connection.execute(delete(frame_removal).where(this))
    of_erasure = (erasure_item.c.kind == "run", erasure_item.c.key == cast(row.run_id, Text))
    connection.execute(
        update(erasure_item)
        .where(*of_erasure, erasure_item.c.done_at.is_(None))
        .values(found=func.jsonb_build_object("frames", removed), done_at=func.clock_timestamp())
    )
    return Removed(row.run_id, frames, last=True)


def has_removals(connection: Connection, run_id: UUID | None = None) -> bool:
    """Whether frames of a deleted run, or of this one, are still there."""
    waiting = select(frame_removal.c.run_id).limit(1)
    if run_id is not None:
        waiting = waiting.where(frame_removal.c.run_id == run_id)
    return connection.execute(waiting).first() is not None
