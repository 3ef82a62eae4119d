"""Which videos an erasure is about, and how much that is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Select, Text, cast, func, or_, select, union

from pipeline.core.states import ChunkState
from pipeline.core.tags import Tags
from pipeline.db.outlived import OPEN_STATES
from pipeline.db.tables import chunk, run, team, video
from pipeline.db.teams import of_team
from pipeline.db.video_tags import has_tags

_HEX = set("0123456789abcdef")
#: So many characters of an id name a video; fewer may be anything.
_PREFIX = 8


@dataclass(frozen=True)
class Target:
    """A video that was named.

    Args:
        root: the id of the video of which it is a second upload, or its own.
    """

    id: UUID
    root: UUID
    name: str
    team: str


@dataclass(frozen=True)
class Extent:
    """What there is of some videos.

    Args:
        frames: that were analysed.
        stored_bytes: of their own objects, without exports.
        registered: objects in buckets of users, which stay.
    """

    videos: int
    runs: int
    open_runs: int
    frames: int
    stored_bytes: int
    registered: tuple[str, ...]


def find_videos(connection: Connection, wanted: str, *, team_name: str | None) -> list[Target]:
    """The videos of that name, with or without its ending, or whose id or one of whose runs' ids begins so."""
    lower = wanted.lower()
    known = func.unnest(func.array_append(video.c.other_names, video.c.name)).table_valued("name").render_derived()
    name = func.lower(known.c.name)
    named = select(known.c.name).where(or_(name == lower, func.regexp_replace(name, r"\.[^.]*$", "") == lower))
    found = _targets(connection, _of_team(team_name).where(named.exists()))
    compact = lower.replace("-", "")
    if found or len(compact) < _PREFIX or not set(compact) <= _HEX:
        return found
    by_id = func.replace(cast(video.c.id, Text), "-", "").startswith(compact)
    of_run = func.replace(cast(run.c.id, Text), "-", "").startswith(compact)
    runs = select(run.c.id).where(run.c.video_id == video.c.id, of_run)
    return _targets(connection, _of_team(team_name).where(or_(by_id, runs.exists())))


def find_tagged(connection: Connection, tags: Tags, *, team_name: str) -> list[Target]:
    """A team's videos that have all these tags."""
    return _targets(connection, _of_team(team_name).where(has_tags(tags)))


def find_team(connection: Connection, name: str) -> UUID | None:
    """A team's id, its row locked, so that no video of it is being entered; None where there is none."""
    found: UUID | None = connection.execute(
        select(team.c.id).where(team.c.name == name).with_for_update()
    ).scalar_one_or_none()
    return found


def with_same_content(connection: Connection, ids: Collection[UUID]) -> list[UUID]:
    """These videos, and their teams' other uploads of the same content, by the ETag where one was not read yet."""
    root = video.alias()
    of_team = video.c.team_id == root.c.team_id
    unread = video.c.sha256.is_(None) | root.c.sha256.is_(None)
    same = (
        video.c.id == root.c.id,
        video.c.id == root.c.duplicate_of,
        video.c.duplicate_of == root.c.id,
        of_team & (video.c.sha256 == root.c.sha256),
        of_team & (video.c.etag == root.c.etag) & (video.c.size_bytes == root.c.size_bytes) & unread,
    )
    found = union(*(select(video.c.id).join(root, each).where(root.c.id.in_(ids)) for each in same))
    return list(connection.execute(found.order_by("id")).scalars())


def measure(connection: Connection, ids: Collection[UUID] | None, *, team_id: UUID | None = None) -> Extent:
    """How much there is of these videos, or of all of a team."""
    these = video.c.team_id == team_id if ids is None else video.c.id.in_(ids)
    is_stored = (video.c.owned, video.c.etag.is_not(None), video.c.original_removed_at.is_(None))
    videos, size = connection.execute(
        select(func.count(), func.sum(video.c.size_bytes).filter(*is_stored)).where(these)
    ).one()
    of_runs = select(func.count(), func.count().filter(run.c.state.in_(OPEN_STATES)))
    runs, open_runs = connection.execute(
        of_runs.select_from(run.join(video, video.c.id == run.c.video_id)).where(these)
    ).one()
    analysed = [str(ChunkState.DONE), str(ChunkState.QUARANTINED)]
    frames = connection.execute(
        select(func.coalesce(func.sum(chunk.c.frames), 0))
        .select_from(chunk.join(run, run.c.id == chunk.c.run_id).join(video, video.c.id == run.c.video_id))
        .where(these, chunk.c.state.in_(analysed))
    ).scalar_one()
    registered = connection.execute(
        select(video.c.bucket, video.c.object_key).distinct().where(these, ~video.c.owned).order_by(video.c.object_key)
    )
    left = tuple(f"s3://{row.bucket}/{row.object_key}" for row in registered)
    return Extent(videos, runs, open_runs, int(frames), int(size or 0), left)


def _of_team(team_name: str | None) -> Select[tuple[UUID, UUID, str, str]]:
    root = func.coalesce(video.c.duplicate_of, video.c.id).label("root")
    columns = select(video.c.id, root, video.c.name, team.c.name.label("team"))
    return of_team(columns.join(team, team.c.id == video.c.team_id), team_name)


def _targets(connection: Connection, statement: Select[tuple[UUID, UUID, str, str]]) -> list[Target]:
    rows: Sequence[tuple[UUID, UUID, str, str]] = connection.execute(  # type: ignore[assignment]
        statement.order_by(video.c.created_at, video.c.id)
    ).all()
    return [Target(*row) for row in rows]
