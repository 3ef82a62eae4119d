"""The first way in: links that a local stack prints."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.link_kind import LinkKind
from pipeline.core.roles import Role
from pipeline.db.account_changes import find_operator
from pipeline.db.accounts import (
    AccountRow,
    find_account,
    has_accounts,
    insert_account,
    make_operator,
    select_ownerless_teams,
    set_role,
)
from pipeline.db.engine import transaction
from pipeline.db.one_time_links import delete_links
from pipeline.db.teams import ensure_team
from pipeline.errors import NotFound
from pipeline.services.accounts.link_addresses import make_link, web_address
from pipeline.services.system import System
from pipeline.services.teams import DEFAULT_TEAM

#: Of the account that `poseline demo` makes; its page says how to give it an address and a password.
DEMO_EMAIL = "owner@localhost"


def first_owner_link(system: System) -> str | None:
    """A link by which the first owner makes an account; None where somebody has one. Earlier ones work no longer."""
    with transaction(system.engine) as connection:
        if has_accounts(connection):
            return None
        delete_links(connection, LinkKind.FIRST_OWNER)
        return make_link(connection, web_address(system.settings), LinkKind.FIRST_OWNER)


def sign_in_link(system: System, email: str) -> str:
    """A link that signs an account in once, without a password.

    Raises:
        NotFound: there is no account of that address, or it is disabled.
    """
    with transaction(system.engine) as connection:
        return _sign_in_link(connection, system, _account(connection, email))


def new_password_link(system: System, email: str) -> str:
    """A link by which an account gives itself a new password. Earlier ones work no longer.

    Raises:
        NotFound: there is no account of that address, or it is disabled.
    """
    with transaction(system.engine) as connection:
        account = _account(connection, email)
        delete_links(connection, LinkKind.NEW_PASSWORD, account_id=account.id)
        base = web_address(system.settings)
        return make_link(connection, base, LinkKind.NEW_PASSWORD, account_id=account.id)


def demo_link(system: System, team: str, video_id: UUID) -> str:
    """A link that signs an operator in once and shows the video that `poseline demo` analysed.

    Where nobody has an account, one without a password is made for it.
    """
    with transaction(system.engine) as connection:
        account = find_operator(connection)
        if account is None:
            account = insert_account(connection, DEMO_EMAIL, "Owner", None)
            if account is None:
                account = _account(connection, DEMO_EMAIL)
            become_first_owner(connection, account)
        team_id = ensure_team(connection, team)
        if team_id in select_ownerless_teams(connection):
            set_role(connection, team_id, account.id, Role.OWNER)
        return f"{_sign_in_link(connection, system, account)}#/t/{team_id}/videos/{video_id}"


def become_first_owner(connection: Connection, account: AccountRow) -> None:
    """Give an account what the first owner has: it makes teams, and owns those that nobody owns."""
    make_operator(connection, account.id)
    ensure_team(connection, DEFAULT_TEAM)
    for team_id in select_ownerless_teams(connection):
        set_role(connection, team_id, account.id, Role.OWNER)


def _sign_in_link(connection: Connection, system: System, account: AccountRow) -> str:
    delete_links(connection, LinkKind.SIGN_IN, account_id=account.id)
    return make_link(connection, web_address(system.settings), LinkKind.SIGN_IN, account_id=account.id)


def _account(connection: Connection, email: str) -> AccountRow:
    found = find_account(connection, email)
    if found is None:
        raise NotFound(f"there is no account {email!r}, or it is disabled; `poseline accounts list` lists them")
    return found[0]
