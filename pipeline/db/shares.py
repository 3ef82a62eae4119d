"""Links to one video, for whoever has them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from pipeline.db.leases import after
from pipeline.db.sign_ins import SharedVideo
from pipeline.db.tables import account, share, team, video


@dataclass(frozen=True)
class ShareRow:
    """A share of a video.

    Args:
        created_by: the account's name; None where a key made it, or the account is gone.
    """

    id: UUID
    created_by: str | None
    created_at: datetime
    expires_at: datetime


def insert_share(
    connection: Connection, sha256: str, video_id: UUID, *, created_by: UUID | None, expires_in_s: float
) -> ShareRow:
    """Keep a new share."""
    share_id = connection.execute(
        share.insert()
        .values(token_sha256=sha256, video_id=video_id, created_by=created_by, expires_at=after(expires_in_s))
        .returning(share.c.id)
    ).scalar_one()
    return next(row for row in select_shares(connection, video_id) if row.id == share_id)


def select_shares(connection: Connection, video_id: UUID) -> list[ShareRow]:
    """The shares of a video that work, the newest first."""
    rows = connection.execute(
        select(share.c.id, account.c.name, share.c.created_at, share.c.expires_at)
        .join(account, account.c.id == share.c.created_by, isouter=True)
        .where(share.c.video_id == video_id, _works())
        .order_by(share.c.created_at.desc(), share.c.id)
    )
    return [ShareRow(row.id, row.name, row.created_at, row.expires_at) for row in rows]


def revoke_share(connection: Connection, video_id: UUID, share_id: UUID) -> bool:
    """End a share of a video, and every session that it began. Returns whether there was one."""
    ended = update(share).where(share.c.id == share_id, share.c.video_id == video_id, _works())
    return connection.execute(ended.values(revoked_at=func.clock_timestamp())).rowcount == 1


def find_share(connection: Connection, sha256: str) -> SharedVideo | None:
    """The video of the share whose token has this SHA-256, while it works."""
    row = connection.execute(
        select(share.c.id, share.c.video_id, video.c.name.label("video"), video.c.team_id, team.c.name)
        .join(video, video.c.id == share.c.video_id)
        .join(team, team.c.id == video.c.team_id)
        .where(share.c.token_sha256 == sha256, _works(), team.c.erasure_id.is_(None))
    ).first()
    return None if row is None else SharedVideo(row.id, row.video_id, row.video, row.team_id, row.name)


def has_video(connection: Connection, team_id: UUID, video_id: UUID) -> bool:
    """Whether a team has a video of that id."""
    found = select(video.c.id).where(video.c.id == video_id, video.c.team_id == team_id)
    return connection.execute(found).first() is not None


def _works() -> ColumnElement[bool]:
    return and_(share.c.revoked_at.is_(None), share.c.expires_at > func.clock_timestamp())
