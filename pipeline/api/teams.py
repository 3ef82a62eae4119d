"""Teams and their members."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, status
from pydantic import BaseModel, Field

from pipeline.api.access import AccountOf, CallerOf, SystemOf, TeamOfPath, allow, allow_known, allow_operators
from pipeline.api.body import Body
from pipeline.api.session import MyTeam
from pipeline.core.roles import Role
from pipeline.db.accounts import Member
from pipeline.services.accounts.members import change_role, list_members, make_team, remove_from_team

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


class NewTeam(Body):
    """A team to make."""

    name: Annotated[str, Field(examples=["first team"])]


class NewRole(Body):
    """The role that a member gets."""

    role: Role


@router.get("/teams", **allow_known())
def get_teams(caller: CallerOf) -> MyTeams:
    """The caller's teams."""
    return MyTeams(items=[MyTeam(id=team.id, name=team.name, role=team.role) for team in caller.teams])


@router.post("/teams", status_code=status.HTTP_201_CREATED, **allow_operators())
def post_team(system: SystemOf, caller: CallerOf, given: NewTeam) -> MyTeam:
    """Make a team. The caller becomes its owner."""
    team = make_team(system, caller, given.name)
    return MyTeam(id=team.id, name=team.name, role=team.role)


@router.get("/teams/{team_id}/members", **allow(Role.VIEWER))
def get_members(system: SystemOf, team: TeamOfPath) -> Members:
    """Who is in the team."""
    return Members(items=[_out(member) for member in list_members(system, team.id)])


@router.patch("/teams/{team_id}/members/{account_id}", **allow(Role.OWNER))
def patch_member(system: SystemOf, caller: CallerOf, team: TeamOfPath, account_id: UUID, given: NewRole) -> MemberOut:
    """Give a member another role. It counts from the next request on."""
    return _out(change_role(system, caller, team.id, account_id, given.role))


@router.delete("/teams/{team_id}/members/{account_id}", status_code=status.HTTP_204_NO_CONTENT, **allow(Role.OWNER))
def delete_member(system: SystemOf, caller: CallerOf, team: TeamOfPath, account_id: UUID) -> None:
    """Take a member out of the team."""
    remove_from_team(system, caller, team.id, account_id)


@router.post("/teams/{team_id}/leave", status_code=status.HTTP_204_NO_CONTENT, **allow(Role.VIEWER, keys=False))
def post_leave(system: SystemOf, caller: CallerOf, account: AccountOf, team: TeamOfPath) -> None:
    """Leave the team."""
    remove_from_team(system, caller, team.id, account.id)


def _out(member: Member) -> MemberOut:
    return MemberOut(**member.__dict__)
