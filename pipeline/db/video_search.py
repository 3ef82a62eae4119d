"""Find videos by their content, their size or their object."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, or_, select, tuple_

from pipeline.core.objects import StoredObject
from pipeline.core.states import VideoState
from pipeline.db.tables import team, video
from pipeline.db.videos import VideoRow, select_video, video_row, videos_query


def find_contents(connection: Connection, wanted: Collection[tuple[UUID, str]]) -> dict[tuple[UUID, str], VideoRow]:
    """The videos with these contents, by the ids of their teams and their SHA-256."""
    if not wanted:
        return {}
    rows = connection.execute(
        videos_query()
        .where(
            tuple_(video.c.team_id, video.c.sha256).in_(list(wanted)),
            video.c.state.in_([VideoState.STORED, VideoState.READY]),
        )
        .order_by(video.c.state == VideoState.READY, video.c.created_at.desc())  # the last of each content counts
    )
    return {(row.team_id, row.sha256): video_row(row) for row in rows}


def has_size(connection: Connection, team_name: str, size_bytes: int) -> bool:
    """Whether a team has a video of that size."""
    team_id = select(team.c.id).where(team.c.name == team_name).scalar_subquery()
    same = select(video.c.id).where(video.c.team_id == team_id, video.c.size_bytes == size_bytes).limit(1)
    return connection.execute(same).first() is not None


def find_content(connection: Connection, team_name: str, sha256: str, *, but: UUID | None = None) -> VideoRow | None:
    """The team's video with that content, other than `but`."""
    row = connection.execute(
        videos_query()
        .where(
            team.c.name == team_name,
            video.c.sha256 == sha256,
            video.c.state.in_([VideoState.STORED, VideoState.READY]),
            video.c.id.is_distinct_from(but),
        )
        .order_by(video.c.state == VideoState.STORED, video.c.created_at)
    ).first()
    return None if row is None else video_row(row)


def find_object(connection: Connection, team_name: str, source: StoredObject) -> VideoRow | None:
    """The team's video made from that version of an object; of a duplicate, the original."""
    row = connection.execute(
        videos_query()
        .where(
            team.c.name == team_name,
            video.c.bucket == source.bucket,
            video.c.object_key == source.key,
            video.c.etag == source.etag,
            video.c.version_id.is_not_distinct_from(source.version_id),
            or_(video.c.state != VideoState.REJECTED, video.c.duplicate_of.is_not(None)),
        )
        .order_by(video.c.created_at)
    ).first()
    if row is not None and row.duplicate_of is not None:
        return select_video(connection, row.duplicate_of, team=team_name)
    return None if row is None else video_row(row)
