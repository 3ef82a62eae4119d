"""Invitations into a team."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, status
from pydantic import BaseModel, Field

from pipeline.api.access import CallerOf, SystemOf, TeamOfPath, allow, pages_address
from pipeline.api.body import Body
from pipeline.core.roles import Role
from pipeline.db.one_time_links import LinkRow
from pipeline.services.accounts.invitations import invite, list_invitations, withdraw

router = APIRouter(tags=["members"])


class NewInvitation(Body):
    """Whom to invite; without an e-mail address whoever gets the link."""

    role: Role
    email: Annotated[str | None, Field(examples=["anna@example.org"])] = None


class InvitationOut(BaseModel):
    """An invitation that waits. `created_by` is the name of who made it, where it still has an account."""

    id: UUID
    role: Role
    email: str | None
    created_by: str | None
    created_at: datetime
    expires_at: datetime


class InvitationMade(InvitationOut):
    """A new invitation, with the link to send: it works once, and is shown this once."""

    url: str


class Invitations(BaseModel):
    """All invitations of a team that wait, the newest first."""

    items: list[InvitationOut]


@router.get("/teams/{team_id}/invitations", **allow(Role.OWNER))
def get_invitations(system: SystemOf, team: TeamOfPath) -> Invitations:
    """The invitations that wait."""
    return Invitations(items=[InvitationOut(**_fields(link)) for link in list_invitations(system, team.id)])


@router.post("/teams/{team_id}/invitations", status_code=status.HTTP_201_CREATED, **allow(Role.OWNER))
def post_invitation(
    system: SystemOf, caller: CallerOf, request: Request, team: TeamOfPath, given: NewInvitation
) -> InvitationMade:
    """Invite somebody."""
    base = pages_address(request, system)
    link, url = invite(system, caller, team.id, role=given.role, email=given.email or None, base=base)
    return InvitationMade(url=url, **_fields(link))


@router.delete(
    "/teams/{team_id}/invitations/{invitation_id}", status_code=status.HTTP_204_NO_CONTENT, **allow(Role.OWNER)
)
def delete_invitation(system: SystemOf, caller: CallerOf, team: TeamOfPath, invitation_id: UUID) -> None:
    """Take an invitation back. Its link works no longer."""
    withdraw(system, caller, team.id, invitation_id)


def _fields(link: LinkRow) -> dict[str, Any]:
    return {name: getattr(link, name) for name in InvitationOut.model_fields}
