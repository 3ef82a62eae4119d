"""The log of who did what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, delete, or_, select, update

from pipeline.core.audit import Action
from pipeline.db.leases import after
from pipeline.db.tables import audit, run, video

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: What stands in the place of an e-mail address whose account was erased.
ERASED = "erased account"
#: What belongs to no team has no team's rule.
_KEEP_WITHOUT_TEAM_S = 365 * 86_400.0


@dataclass(frozen=True)
class AuditRow:
    """One entry.

    Args:
        actor: e-mail address of the account, name of the key, or what else did it.
        subject: what was done something to: of videos and runs the id, so that a name goes with its video.
        video: the name of the video that the subject is, or whose run it is, while it is there.
    """

    id: int
    at: datetime
    actor: str
    action: Action
    subject: str
    detail: Mapping[str, Any]
    video: str | None


def insert_audit(
    connection: Connection,
    action: Action,
    *,
    team_id: UUID | None,
    account_id: UUID | None,
    actor: str,
    subject: str,
    detail: Mapping[str, Any],
) -> None:
    """Note that somebody did something."""
    connection.execute(
        audit.insert().values(
            team_id=team_id, account_id=account_id, actor=actor, action=action, subject=subject, detail=dict(detail)
        )
    )


def select_audit(connection: Connection, team_id: UUID, before: int | None, limit: int) -> list[AuditRow]:
    """The newest entries of a team, or the newest before one."""
    wanted = select(audit).where(audit.c.team_id == team_id).order_by(audit.c.id.desc()).limit(limit)
    rows = connection.execute(wanted if before is None else wanted.where(audit.c.id < before)).all()
    names = _video_names(connection, team_id, {row.subject for row in rows if _UUID.fullmatch(row.subject)})
    return [
        AuditRow(row.id, row.at, row.actor, Action(row.action), row.subject, row.detail, names.get(row.subject))
        for row in rows
    ]


def _video_names(connection: Connection, team_id: UUID, ids: set[str]) -> dict[str, str]:
    """The names of a team's videos by their ids and those of their runs."""
    if not ids:
        return {}
    of_videos = select(video.c.id, video.c.name).where(video.c.id.in_(ids), video.c.team_id == team_id)
    of_runs = select(run.c.id, video.c.name).join(video, video.c.id == run.c.video_id)
    of_runs = of_runs.where(run.c.id.in_(ids), video.c.team_id == team_id)
    return {str(row.id): row.name for row in connection.execute(of_videos.union_all(of_runs))}


def older_audit(team_id: UUID, before: Any) -> Select[Any]:
    """SQL: the entries of a team from before a time."""
    return select(audit.c.id, audit.c.at, audit.c.action.label("name")).where(
        audit.c.team_id == team_id, audit.c.at < before
    )


def delete_older_audit(connection: Connection, team_id: UUID, before: Any, limit: int) -> int:
    """Delete a batch of the entries of a team from before a time. Returns how many."""
    some = older_audit(team_id, before).order_by(audit.c.at).limit(limit).subquery()
    return connection.execute(delete(audit).where(audit.c.id.in_(select(some.c.id)))).rowcount


def delete_audit_without_team(connection: Connection) -> None:
    """Delete entries of no team that are older than a year."""
    connection.execute(delete(audit).where(audit.c.team_id.is_(None), audit.c.at < after(-_KEEP_WITHOUT_TEAM_S)))


def forget_account(connection: Connection, account_id: UUID, email: str) -> None:
    """Take an account's e-mail address out of every entry."""
    connection.execute(
        update(audit)
        .where(or_(audit.c.account_id == account_id, audit.c.actor == email))
        .values(account_id=None, actor=ERASED)
    )
    connection.execute(update(audit).where(audit.c.subject == email).values(subject=ERASED))
