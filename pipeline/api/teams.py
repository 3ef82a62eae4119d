"""Teams and their members."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from pipeline.api.access import CallerOf, SystemOf, TeamOfPath, allow, allow_known
from pipeline.api.session import MyTeam
from pipeline.core.roles import Role
from pipeline.services.accounts.members import list_members

router = APIRouter(tags=["teams"])


class MemberOut(BaseModel):
    """An account in a team."""

    account_id: UUID
    email: str
    name: str
    role: Role
    since: datetime


class Members(BaseModel):
    """All members of a team, by name."""

    items: list[MemberOut]


class MyTeams(BaseModel):
    """All teams of the caller, by name."""

    items: list[MyTeam]


@router.get("/teams", **allow_known())
def get_teams(caller: CallerOf) -> MyTeams:
    """The caller's teams."""
    return MyTeams(items=[MyTeam(id=team.id, name=team.name, role=team.role) for team in caller.teams])


@router.get("/teams/{team_id}/members", **allow(Role.VIEWER))
def get_members(system: SystemOf, team: TeamOfPath) -> Members:
    """Who is in the team."""
    return Members(items=[MemberOut(**member.__dict__) for member in list_members(system, team.id)])
