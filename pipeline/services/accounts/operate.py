"""What an operator does with accounts at the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.audit import Action
from pipeline.core.roles import Role
from pipeline.db.account_changes import Listed, delete_account, find_any_account, select_accounts, set_disabled
from pipeline.db.accounts import AccountRow, insert_account, make_operator, set_role
from pipeline.db.api_keys import ApiKey
from pipeline.db.audit import forget_account
from pipeline.db.engine import transaction
from pipeline.db.one_time_links import delete_links_to
from pipeline.db.sign_ins import delete_sessions_of
from pipeline.db.teams import ensure_team
from pipeline.errors import NotFound, UsageError
from pipeline.services.accounts.audit import COMMAND_LINE, note, note_in_teams
from pipeline.services.accounts.first_owner import new_password_link
from pipeline.services.accounts.keys import make_key
from pipeline.services.accounts.names import check_email, check_name
from pipeline.services.system import System
from pipeline.services.teams import require_team


@dataclass(frozen=True)
class Added:
    """An account that was made or changed; `link` lets a new one choose its password."""

    account: AccountRow
    link: str | None


def list_accounts(system: System) -> Sequence[Listed]:
    """Every account with its teams, by e-mail address."""
    with transaction(system.engine) as connection:
        return select_accounts(connection)


def add_account(system: System, email: str, *, name: str | None, team: str | None, role: Role, operator: bool) -> Added:
    """Add an account, or a role to one that there is.

    Raises:
        UnknownTeam: there is no such team.
        UsageError: what was given is not fit, or there is nothing to change.
    """
    email = check_email(email)
    if team is not None:
        require_team(system, team)
    with transaction(system.engine) as connection:
        given = check_name(name or email.partition("@")[0])
        new = insert_account(connection, email, given, None)
        account = new or find_any_account(connection, email)
        assert account is not None
        if new is None and team is None and not operator:
            raise UsageError(f"there is an account {email} already; add a --team, or --operator")
        if operator:
            make_operator(connection, account.id)
        if team is not None:
            team_id = ensure_team(connection, team)
            set_role(connection, team_id, account.id, role)
            note(connection, None, Action.MEMBER_ADDED, team_id=team_id, subject=email, role=str(role))
    return Added(account, None if new is None else new_password_link(system, email))


def add_key(system: System, team: str, name: str, *, role: Role, expires_in_days: int | None) -> tuple[ApiKey, str]:
    """Make a key of a team. Returns it, and its secret, which is shown this once.

    Raises:
        UnknownTeam: there is no such team.
        UsageError: the name or the role is not fit.
    """
    require_team(system, team)
    with transaction(system.engine) as connection:
        team_id = ensure_team(connection, team)
    return make_key(system, None, team_id, name=name, role=role, expires_in_days=expires_in_days)


def disable_account(system: System, email: str, *, disabled: bool) -> AccountRow:
    """Let an account sign in no longer, and end its sessions; or let it again.

    Raises:
        NotFound: there is no such account.
    """
    with transaction(system.engine) as connection:
        account = find_any_account(connection, email.strip().lower())
        if account is None:
            raise _unknown(email)
        set_disabled(connection, account.id, disabled)
        if disabled:
            delete_sessions_of(connection, account.id)
        action = Action.ACCOUNT_DISABLED if disabled else Action.ACCOUNT_ENABLED
        note_in_teams(connection, account, action, by=COMMAND_LINE)
    return account


def remove_account(system: System, email: str) -> AccountRow:
    """Erase an account: its sessions, links and roles, and its address in every log.

    Raises:
        NotFound: there is no such account.
    """
    with transaction(system.engine) as connection:
        account = find_any_account(connection, email.strip().lower())
        if account is None:
            raise _unknown(email)
        delete_links_to(connection, account.email)
        forget_account(connection, account.id, account.email)
        delete_account(connection, account.id)
    return account


def _unknown(email: str) -> NotFound:
    return NotFound(f"there is no account {email!r}; `poseline accounts list` lists them")
