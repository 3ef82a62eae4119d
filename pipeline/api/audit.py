"""The log of who did what in a team."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from pipeline.api.access import SystemOf, TeamOfPath, allow
from pipeline.core.audit import Action
from pipeline.core.roles import Role
from pipeline.services.accounts.audit import list_audit

router = APIRouter(tags=["audit"])


class AuditEntry(BaseModel):
    """Who did what to what, and when. `video` is the name of the video that the subject is, or whose run it is."""

    at: datetime
    actor: str
    action: Action
    subject: str
    video: str | None
    detail: dict[str, Any]


class AuditPage(BaseModel):
    """A page of the log, the newest first; `next` is what `after` takes for the next one."""

    items: list[AuditEntry]
    next: str | None


@router.get("/teams/{team_id}/audit", **allow(Role.OWNER))
def get_audit(
    system: SystemOf,
    team: TeamOfPath,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    after: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$")] = None,
) -> AuditPage:
    """Who did what in the team."""
    rows = list_audit(system, team.id, before=None if after is None else int(after), limit=limit + 1)
    page = rows[:limit]
    entries = [
        AuditEntry(
            at=row.at,
            actor=row.actor,
            action=row.action,
            subject=row.subject,
            video=row.video,
            detail=dict(row.detail),
        )
        for row in page
    ]
    return AuditPage(items=entries, next=str(page[-1].id) if len(rows) > limit else None)
