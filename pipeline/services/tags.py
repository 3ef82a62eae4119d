"""Tags of videos: merged when a video is taken in again, and changed afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.tags import Tags, checked_tags
from pipeline.db.engine import transaction
from pipeline.db.video_tags import lock_tags, write_tags
from pipeline.db.videos import select_video
from pipeline.errors import NotFound, UsageError
from pipeline.services.find_video import find_video
from pipeline.services.system import System

#: Values that were replaced: the key, the value before, the value now.
Replaced = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class TaggedVideo:
    """A video's tags after a change."""

    video_id: UUID
    video: str
    team: str
    tags: Tags

    def to_dict(self) -> dict[str, object]:
        """The tags as JSON fields."""
        return {"video_id": str(self.video_id), "video": self.video, "team": self.team, "tags": dict(self.tags)}


def merge_tags(connection: Connection, wanted: Mapping[UUID, Tags]) -> dict[UUID, Replaced | UsageError]:
    """Add tags to videos; new values replace. Returns the values that were replaced, or why a video got none."""
    merged: dict[UUID, Tags] = {}
    outcome: dict[UUID, Replaced | UsageError] = {}
    asked = {video_id: tags for video_id, tags in wanted.items() if tags}
    for video_id, before in lock_tags(connection, asked).items() if asked else ():
        now = asked[video_id]
        try:
            after = checked_tags({**before, **now})
        except ValueError as error:
            outcome[video_id] = UsageError(str(error))
            continue
        outcome[video_id] = tuple((k, before[k], v) for k, v in now.items() if before.get(k, v) != v)
        if after != before:
            merged[video_id] = after
    write_tags(connection, merged)
    return outcome


def tag_video(
    system: System, name_or_id: str, *, team: str | None, tags: Tags, remove: Collection[str] = ()
) -> TaggedVideo:
    """Change the tags of one video, named by a run of it or by its own id; those that are not named stay.

    Raises:
        NotFound: there is no such video or run, or it is another team's; or a tag to be removed is not there.
        UsageError: there would be too many.
    """
    return change_tags(system, find_video(system, name_or_id, team=team), team=team, tags=tags, remove=remove)


def change_tags(
    system: System, video_id: UUID, *, team: str | None, tags: Tags, remove: Collection[str] = ()
) -> TaggedVideo:
    """As `tag_video`, of the video with that id."""
    with transaction(system.engine) as connection:
        select_video(connection, video_id, team=team)
        before = lock_tags(connection, [video_id])[video_id]
        for key in remove:
            if key not in before:
                has = f"it has {', '.join(sorted(before))}" if before else "it has none"
                raise NotFound(f"the video has no tag {key!r}; {has}")
        kept = {key: value for key, value in before.items() if key not in set(remove)}
        try:
            after = checked_tags({**kept, **tags})
        except ValueError as error:
            raise UsageError(str(error)) from error
        write_tags(connection, {video_id: after})
        found = select_video(connection, video_id, team=team)
    return TaggedVideo(found.id, found.name, found.team, found.tags)
