"""Whether a video's original is there; why it gets no new run: its team's rule removed that, or it was erased."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, select

from pipeline.db.tables import run, video
from pipeline.errors import NotFound, OriginalRemoved


def no_new_run(connection: Connection, video_id: UUID) -> OriginalRemoved | NotFound:
    """The error for a video that got no new run."""
    found = connection.execute(select(video.c.name, video.c.original_removed_at).where(video.c.id == video_id)).first()
    if found is None or found.original_removed_at is None:
        return NotFound(f"there is no video {video_id}; it was erased")
    return original_removed(found.name, found.original_removed_at)


def original_removed(name: str, at: datetime) -> OriginalRemoved:
    """The error for what needs an original that is not kept any longer."""
    return OriginalRemoved(
        f"the original of {name} was removed on {at:%Y-%m-%d} by its team's retention; "
        "its results stay; upload the same file again for more than these"
    )


def hold_original(connection: Connection, video_id: UUID, run_id: UUID | None = None) -> bool:
    """Let nobody remove a video, its original, or one of its runs before this transaction ends.

    Returns:
        False where one of them is gone already.
    """
    if run_id is not None:
        held = connection.execute(select(run.c.id).where(run.c.id == run_id).with_for_update(read=True)).first()
        if held is None:
            return False
    kept = select(video.c.id).where(video.c.id == video_id, video.c.original_removed_at.is_(None))
    return connection.execute(kept.with_for_update(read=True)).first() is not None
