"""Links to one video, read-only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, Field

from pipeline.api.access import CallerOf, SystemOf, TeamOfPath, allow, allow_public, pages_address, share_cookie
from pipeline.api.body import Body
from pipeline.api.session import Shared, client_of, keep_session
from pipeline.core.roles import Role
from pipeline.db.shares import ShareRow
from pipeline.services.accounts.shares import end_share, list_shares, make_share, open_share

router = APIRouter(tags=["shares"])


class NewShare(Body):
    """A link to make."""

    expires_in_days: Annotated[int, Field(ge=1, le=365)] = 7


class ShareOut(BaseModel):
    """A link that works, without its secret."""

    id: UUID
    created_by: str | None
    created_at: datetime
    expires_at: datetime


class ShareMade(ShareOut):
    """A new link, which is shown this once."""

    url: str


class Shares(BaseModel):
    """All links to a video that work, the newest first."""

    items: list[ShareOut]


@router.get("/teams/{team_id}/videos/{video_id}/shares", **allow(Role.COACH))
def get_shares(system: SystemOf, team: TeamOfPath, video_id: UUID) -> Shares:
    """The links to a video."""
    return Shares(items=[ShareOut(**_fields(row)) for row in list_shares(system, team.id, video_id)])


@router.post("/teams/{team_id}/videos/{video_id}/shares", status_code=status.HTTP_201_CREATED, **allow(Role.COACH))
def post_share(
    system: SystemOf, caller: CallerOf, request: Request, team: TeamOfPath, video_id: UUID, given: NewShare
) -> ShareMade:
    """Make a link with which anybody sees this video and its poses, and nothing else."""
    base = pages_address(request, system)
    row, url = make_share(system, caller, team.id, video_id, expires_in_days=given.expires_in_days, base=base)
    return ShareMade(url=url, **_fields(row))


@router.delete(
    "/teams/{team_id}/videos/{video_id}/shares/{share_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    **allow(Role.COACH),
)
def delete_share(system: SystemOf, caller: CallerOf, team: TeamOfPath, video_id: UUID, share_id: UUID) -> None:
    """End a link, also for who opened it before."""
    end_share(system, caller, team.id, video_id, share_id)


@router.post("/shares/{token}", **allow_public())
def open_shared(system: SystemOf, request: Request, response: Response, token: str) -> Shared:
    """Open a link to a video. The answer sets a cookie, which sees that one video."""
    shared, session = open_share(system, token, client_of(request))
    keep_session(request, response, session, share_cookie(request))
    return Shared.model_validate(shared, from_attributes=True)


def _fields(row: ShareRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ShareOut.model_fields}
