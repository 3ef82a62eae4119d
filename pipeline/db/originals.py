"""Why a video gets no new run: its original was removed by its team's rule, or all of it was erased."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, select

from pipeline.db.tables import video
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
