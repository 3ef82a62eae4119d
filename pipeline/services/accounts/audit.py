"""The log of who did what in a team."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.audit import Action
from pipeline.db.accounts import AccountRow, select_teams_of
from pipeline.db.audit import AuditRow, insert_audit, select_audit
from pipeline.db.engine import transaction
from pipeline.services.accounts.callers import Caller
from pipeline.services.system import System

COMMAND_LINE = "command line"


def note(
    connection: Connection,
    caller: Caller | None,
    action: Action,
    *,
    team_id: UUID | None,
    subject: str = "",
    **detail: Any,
) -> None:
    """Note that somebody did something, in the transaction in which it is done.

    Args:
        caller: who; None for who has the command line.
        subject: what it was done to: a name or an address, never a secret.
        detail: more about it as JSON fields.
    """
    insert_audit(
        connection,
        action,
        team_id=team_id,
        account_id=caller.account.id if caller is not None and caller.account is not None else None,
        actor=COMMAND_LINE if caller is None else caller.name,
        subject=subject,
        detail=detail,
    )


def note_done(
    system: System, caller: Caller, action: Action, *, team_id: UUID, subject: str = "", **detail: Any
) -> None:
    """As `note`, of what was done just now in transactions of its own."""
    with transaction(system.engine) as connection:
        note(connection, caller, action, team_id=team_id, subject=subject, **detail)


def note_in_teams(
    connection: Connection, account: AccountRow, action: Action, *, by: str | None = None, **detail: str
) -> None:
    """Note what somebody did with their own account in each of their teams; once without a team where it has none.

    Args:
        by: who did it, where that is not the account itself.
        detail: more about it as JSON fields.
    """
    teams: list[UUID | None] = [team.id for team in select_teams_of(connection, account.id)]
    for team_id in teams or [None]:
        insert_audit(
            connection,
            action,
            team_id=team_id,
            account_id=account.id if by is None else None,
            actor=by or account.email,
            subject="" if by is None else account.email,
            detail=detail,
        )


def list_audit(system: System, team_id: UUID, *, before: int | None, limit: int) -> Sequence[AuditRow]:
    """A page of what was done in a team, the newest first."""
    with transaction(system.engine) as connection:
        return select_audit(connection, team_id, before, limit)
