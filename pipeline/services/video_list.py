"""A team's videos as lists and their pages show them, and what of them changed since a client last asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pipeline.core.cursors import Cursor
from pipeline.core.states import RunState, VideoState
from pipeline.db.engine import oldest_writer, transaction
from pipeline.db.listed_videos import (
    ListedVideo,
    NewestRun,
    Wanted,
    count_listed,
    select_changed,
    select_listed,
    select_listed_by_id,
)
from pipeline.errors import NotFound, UsageError
from pipeline.services.system import System
from pipeline.services.upload_steps import printable

#: What a listed video's state may be.
STATES = (*(str(state) for state in VideoState), *(str(state) for state in RunState))
#: More changes than that are not told one by one; a client reads its list anew.
_MOST_CHANGES = 500


@dataclass(frozen=True)
class Page:
    """A page of videos, and where the next begins; None after the last."""

    videos: Sequence[ListedVideo]
    next: Cursor | None

    def to_dict(self) -> dict[str, Any]:
        """The page as JSON fields."""
        return {
            "items": [to_dict(video) for video in self.videos],
            "next": None if self.next is None else str(self.next),
        }


@dataclass(frozen=True)
class Changes:
    """What changed of a team's videos.

    Args:
        videos: those that changed, as they are now, and those that are being analysed.
        count: of all videos of the team; a client that knows of another number missed one that was erased.
        complete: False where too much changed to be told one by one.
        next: to ask from the next time.
    """

    videos: Sequence[ListedVideo]
    count: int
    complete: bool
    next: datetime

    def to_dict(self) -> dict[str, Any]:
        """The changes as JSON fields."""
        return {
            "videos": [to_dict(video) for video in self.videos],
            "count": self.count,
            "complete": self.complete,
            "next": self.next.isoformat().replace("+00:00", "Z"),
        }


def list_videos(system: System, team_id: UUID, wanted: Wanted, *, after: str | None = None, limit: int = 50) -> Page:
    """A page of a team's videos, the newest first.

    Raises:
        UsageError: `after` is not the `next` of a page, or there is no such state.
    """
    unknown = sorted(set(wanted.states) - set(STATES))
    if unknown:
        raise UsageError(f"{printable(unknown[0])!r} is no state of a video; the states are {', '.join(STATES)}")
    try:
        cursor = None if after is None else Cursor.parse(after)
    except ValueError as error:
        raise UsageError(f"after: {error}") from error
    with transaction(system.engine) as connection:
        found = select_listed(connection, team_id, wanted, after=cursor, limit=limit + 1)
    page = found[:limit]
    return Page(page, Cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None)


def get_video(system: System, team_id: UUID, video_id: UUID) -> ListedVideo:
    """One video of a team.

    Raises:
        NotFound: there is none, or it is another team's.
    """
    with transaction(system.engine) as connection:
        found = select_listed_by_id(connection, team_id, [video_id])
    if not found:
        raise NotFound(f"there is no video {video_id} in this team")
    return found[0]


def read_changes(system: System, team_id: UUID, since: datetime | None) -> Changes:
    """What changed of a team's videos since `next` of the changes before; nothing where `since` is None."""
    with transaction(system.engine) as connection:
        now = oldest_writer(connection)
        count = count_listed(connection, team_id)
        ids = [] if since is None else select_changed(connection, team_id, since, _MOST_CHANGES + 1)
        complete = len(ids) <= _MOST_CHANGES
        videos = select_listed_by_id(connection, team_id, ids) if complete else []
    return Changes(sorted(videos, key=lambda video: (video.created_at, video.id), reverse=True), count, complete, now)


def to_dict(video: ListedVideo) -> dict[str, Any]:
    """A video of a list as JSON fields."""
    return {
        "video_id": str(video.id),
        "name": printable(video.name),
        "state": video.state,
        "reason": video.reason,
        "created_at": video.created_at.isoformat(),
        "size_bytes": video.size_bytes,
        "width": video.width,
        "height": video.height,
        "codec": video.codec,
        "frames": video.frames,
        "video_s": video.video_s,
        "notes": list(video.notes),
        "tags": dict(video.tags),
        "current_run_id": video.current_run_id and str(video.current_run_id),
        "models": list(video.models),
        "run": video.run and _run(video.run, video.frames),
    }


def _run(run: NewestRun, frames: int | None) -> dict[str, Any]:
    summary = run.summary or {}
    return {
        "run_id": str(run.id),
        "model": run.model,
        "state": str(run.state),
        "reason": run.reason,
        "frames_done": run.frames_done,
        "frames": frames,
        "frames_missing": summary.get("frames_missing"),
        "most_people": summary.get("most_people"),
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at and run.started_at.isoformat(),
        "finished_at": run.finished_at and run.finished_at.isoformat(),
        "paused": run.paused,
    }
