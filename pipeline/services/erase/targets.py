"""What an erasure is asked for: found, counted, and begun."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pipeline.core.tags import Tags
from pipeline.db.engine import transaction
from pipeline.db.erasure_targets import Extent, Target, find_tagged, find_team, find_videos, measure, with_same_content
from pipeline.db.erasures import Item, Scope, insert_erasure, mark_team
from pipeline.db.videos import select_video
from pipeline.errors import NotFound, UsageError
from pipeline.services.system import System
from pipeline.services.teams import require_team
from pipeline.services.upload_steps import printable

_SHOWN = 5


@dataclass(frozen=True)
class Asked:
    """What is to be erased, and how much that is.

    Args:
        video_ids: what it is about; empty for a whole team.
        team_id: of a whole team.
        text: what was asked, of which the receipt keeps the SHA-256.
        confirmation: what a person types to confirm.
        examples: names of videos.
    """

    scope: Scope
    video_ids: tuple[UUID, ...]
    team_id: UUID | None
    text: str
    confirmation: str
    extent: Extent
    examples: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """What would be erased as JSON fields."""
        extent = self.extent
        return {
            "scope": self.scope,
            "videos": extent.videos,
            "runs": extent.runs,
            "open_runs": extent.open_runs,
            "frames": extent.frames,
            "stored_bytes": extent.stored_bytes,
            "registered_objects_left": list(extent.registered),
            "examples": list(self.examples),
        }


def find_asked(system: System, names: Sequence[str], *, team: str | None, tags: Tags) -> Asked:
    """What is meant: the named videos, the team's videos with these tags, or the whole team.

    A video stands for all uploads of its content by its team.

    Raises:
        NotFound: there is no such video, or none with these tags.
        UnknownTeam: there is no such team.
        UsageError: nothing was named, a tag without its team, or a name that several videos have.
    """
    if team is not None:
        require_team(system, team)
    if names and tags:
        raise UsageError("name videos or give --tag, not both")
    if names:
        return _of_videos(system, names, team)
    if team is None:
        raise UsageError("name what to erase: videos, --team TEAM, or --team TEAM --tag person=NAME")
    return _of_tags(system, team, tags) if tags else _of_team(system, team)


def asked_video(system: System, video_id: UUID, *, team: str) -> Asked:
    """What is meant by one video of a team, by its id.

    Raises:
        NotFound: there is no such video, or it is another team's.
    """
    with transaction(system.engine) as connection:
        name = select_video(connection, video_id, team=team).name
        ids = with_same_content(connection, [video_id])
        extent = measure(connection, ids)
    return Asked("videos", tuple(ids), None, f"video:{video_id}", printable(name), extent, (printable(name),))


def begin_erasure(system: System, asked: Asked, by: str) -> UUID:
    """Begin an erasure; from now on it will be finished. Returns its id.

    Raises:
        NotFound: the team is gone.
    """
    sha256 = hashlib.sha256(asked.text.encode()).hexdigest()
    items = [Item("video", str(video_id)) for video_id in asked.video_ids]
    if asked.team_id is not None:
        items.append(Item("team", str(asked.team_id)))
    with transaction(system.engine) as connection:
        erasure_id = insert_erasure(connection, asked.scope, sha256, printable(by), items)
        if asked.team_id is not None:
            mark_team(connection, asked.team_id, erasure_id)
    return erasure_id


def _of_videos(system: System, names: Sequence[str], team: str | None) -> Asked:
    found: dict[UUID, Target] = {}
    with transaction(system.engine) as connection:
        for name in names:
            targets = find_videos(connection, name, team_name=team)
            roots = {target.root for target in targets}
            if not targets:
                raise NotFound(f"there is no video {printable(name)!r}; `poseline runs` lists what there is")
            if len(roots) > 1:
                shown = ", ".join(f"{target.id} ({target.team})" for target in targets[:_SHOWN])
                raise UsageError(f"{len(targets)} videos are called {printable(name)}; name one by its id: {shown}")
            found[targets[0].root] = targets[0]
        ids = with_same_content(connection, [target.id for target in found.values()])
        extent = measure(connection, ids)
    text = " ".join(sorted(f"video:{root}" for root in found))
    names_ = tuple(printable(target.name) for target in found.values())
    confirmation = names_[0] if len(names_) == 1 else f"{len(names_)} videos"
    return Asked("videos", tuple(ids), None, text, confirmation, extent, names_[:_SHOWN])


def _of_tags(system: System, team: str, tags: Tags) -> Asked:
    shown = ",".join(f"{key}={value}" for key, value in sorted(tags.items()))
    with transaction(system.engine) as connection:
        targets = find_tagged(connection, tags, team_name=team)
        if not targets:
            raise NotFound(
                f"team {team!r} has no video tagged {shown}; `poseline runs --tag {shown}` shows those with a run"
            )
        ids = with_same_content(connection, [target.id for target in targets])
        extent = measure(connection, ids)
    examples = tuple(printable(target.name) for target in targets[:_SHOWN])
    return Asked("tag", tuple(ids), None, f"team:{team} tag:{shown}", shown, extent, examples)


def _of_team(system: System, team: str) -> Asked:
    with transaction(system.engine) as connection:
        team_id = find_team(connection, team)
        if team_id is None:
            raise NotFound(f"there is nothing of team {team!r} to erase")
        extent = measure(connection, None, team_id=team_id)
    return Asked("team", (), team_id, f"team:{team}", team, extent, ())
