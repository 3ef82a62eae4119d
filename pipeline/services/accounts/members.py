"""Who is in a team, and with which role."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.audit import Action
from pipeline.core.roles import Role
from pipeline.db.accounts import Member, TeamOf, count_owners, find_member, remove_member, select_members, set_role
from pipeline.db.engine import transaction
from pipeline.db.teams import TeamRow, find_team_id, insert_team
from pipeline.errors import NotFound, UsageError
from pipeline.services.accounts.audit import note
from pipeline.services.accounts.callers import Caller
from pipeline.services.system import System
from pipeline.services.upload_steps import check_team


def list_members(system: System, team_id: UUID) -> list[Member]:
    """The members of a team, by name."""
    with transaction(system.engine) as connection:
        return select_members(connection, team_id)


def change_role(system: System, caller: Caller, team_id: UUID, account_id: UUID, role: Role) -> Member:
    """Give a member another role, which counts from the next request on.

    Raises:
        NotFound: there is no such member.
        UsageError: it is the last owner.
    """
    with transaction(system.engine) as connection:
        member = _locked_member(connection, team_id, account_id, becomes=role)
        if member.role is not role:
            set_role(connection, team_id, account_id, role)
            note(
                connection,
                caller,
                Action.ROLE_CHANGED,
                team_id=team_id,
                subject=member.email,
                role=str(role),
                before=str(member.role),
            )
        changed = find_member(connection, team_id, account_id)
    assert changed is not None
    return changed


def remove_from_team(system: System, caller: Caller, team_id: UUID, account_id: UUID) -> None:
    """Take a member out of a team.

    Raises:
        NotFound: there is no such member.
        UsageError: it is the last owner.
    """
    left = caller.account is not None and caller.account.id == account_id
    with transaction(system.engine) as connection:
        member = _locked_member(connection, team_id, account_id, becomes=None)
        remove_member(connection, team_id, account_id)
        if left:
            note(connection, caller, Action.LEFT, team_id=team_id)
        else:
            note(connection, caller, Action.MEMBER_REMOVED, team_id=team_id, subject=member.email)


def make_team(system: System, caller: Caller, name: str) -> TeamOf:
    """Make a team, of which the caller becomes an owner.

    Raises:
        UsageError: there is one of that name, or it is no name for a team.
    """
    assert caller.account is not None
    name = " ".join(name.split())
    check_team(name)
    with transaction(system.engine) as connection:
        if not insert_team(connection, TeamRow(name, 1.0, {})):
            raise UsageError(f"there is a team {name!r} already; choose another name")
        team_id = find_team_id(connection, name)
        assert team_id is not None
        set_role(connection, team_id, caller.account.id, Role.OWNER)
        note(connection, caller, Action.TEAM_MADE, team_id=team_id, subject=name)
    return TeamOf(team_id, name, Role.OWNER)


def _locked_member(connection: Connection, team_id: UUID, account_id: UUID, *, becomes: Role | None) -> Member:
    """A member who may get this role, or none; other changes of owners wait until the transaction ends."""
    owners = count_owners(connection, team_id)
    member = find_member(connection, team_id, account_id)
    if member is None:
        raise NotFound("there is no such member in this team")
    if member.role is Role.OWNER and becomes is not Role.OWNER and owners < 2:
        raise UsageError("a team needs an owner; make somebody else an owner first")
    return member
