"""What an upload is compared with before it begins: what the team stores, and videos of the same size."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, func, or_, select

from pipeline.core.states import VideoState
from pipeline.db.tables import team, upload, video


def select_quota(connection: Connection, team_id: UUID) -> int | None:
    """How much the team may store, in bytes; None without a quota."""
    return connection.execute(select(team.c.quota_bytes).where(team.c.id == team_id)).scalar()


def team_bytes(connection: Connection, team_id: UUID) -> int:
    """The size of the team's originals that are ours and still stored, and of its open uploads."""
    of_team = select(func.coalesce(func.sum(func.coalesce(upload.c.size_bytes, video.c.size_bytes)), 0)).select_from(
        video.outerjoin(upload, upload.c.video_id == video.c.id)
    )
    counted = or_(video.c.etag.is_not(None), video.c.state == VideoState.UPLOADING)
    stored = connection.execute(of_team.where(video.c.team_id == team_id, video.c.owned, counted)).scalar_one()
    return int(stored)


def find_same_size(connection: Connection, team_id: UUID, size_bytes: int, limit: int) -> list[tuple[UUID, str, int]]:
    """The team's videos of that size, the newest first: the id, and the SHA-256 and size of the first part, which are
    empty and 0 where the video came in another way."""
    rows = connection.execute(
        select(video.c.id, func.coalesce(upload.c.first_sha256, ""), func.coalesce(upload.c.part_bytes, 0))
        .outerjoin(upload, upload.c.video_id == video.c.id)
        .where(video.c.team_id == team_id, video.c.size_bytes == size_bytes)
        .where(video.c.state.in_([VideoState.STORED, VideoState.READY]))
        .order_by(video.c.created_at.desc())
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in rows]
