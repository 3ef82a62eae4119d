"""Accounts as they are listed, changed and removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from pipeline.core.roles import Role
from pipeline.db.accounts import AccountRow
from pipeline.db.tables import account, identity, membership, team, web_session


@dataclass(frozen=True)
class Listed:
    """An account in a list.

    Args:
        roles: by the names of its teams.
        connected: whether a provider signs it in.
        seen_at: when one of its sessions that still runs was used last.
    """

    email: str
    name: str
    operator: bool
    has_password: bool
    connected: bool
    disabled: bool
    created_at: datetime
    seen_at: datetime | None
    roles: Mapping[str, Role]


def select_accounts(connection: Connection) -> list[Listed]:
    """Every account, by e-mail address."""
    roles: dict[UUID, dict[str, Role]] = {}
    named = select(membership.c.account_id, membership.c.role, team.c.name)
    for row in connection.execute(named.join(team, team.c.id == membership.c.team_id).order_by(team.c.name)):
        roles.setdefault(row.account_id, {})[row.name] = Role(row.role)
    seen = (
        select(func.max(web_session.c.seen_at)).where(web_session.c.account_id == account.c.id).scalar_subquery()
    ).label("seen_at")
    connected = select(identity.c.subject).where(identity.c.account_id == account.c.id).exists().label("connected")
    return [
        Listed(
            row.email,
            row.name,
            row.operator,
            row.password_hash is not None,
            row.connected,
            row.disabled_at is not None,
            row.created_at,
            row.seen_at,
            roles.get(row.id, {}),
        )
        for row in connection.execute(select(account, seen, connected).order_by(account.c.email))
    ]


def find_any_account(connection: Connection, email: str) -> AccountRow | None:
    """The account of that address, also where it is disabled."""
    row = connection.execute(select(account).where(account.c.email == email.lower())).first()
    return None if row is None else AccountRow(row.id, row.email, row.name, row.operator)


def find_operator(connection: Connection) -> AccountRow | None:
    """The oldest account that may make teams."""
    row = connection.execute(
        select(account).where(account.c.operator, account.c.disabled_at.is_(None)).order_by(account.c.created_at)
    ).first()
    return None if row is None else AccountRow(row.id, row.email, row.name, row.operator)


def set_name(connection: Connection, account_id: UUID, name: str) -> None:
    """Rename an account."""
    connection.execute(update(account).where(account.c.id == account_id).values(name=name))


def set_email(connection: Connection, account_id: UUID, email: str) -> bool:
    """Give an account another address. Returns False where another has it; the transaction goes on."""
    try:
        with connection.begin_nested():
            connection.execute(update(account).where(account.c.id == account_id).values(email=email.lower()))
    except IntegrityError:
        return False
    return True


def set_disabled(connection: Connection, account_id: UUID, disabled: bool) -> None:
    """Let an account sign in no longer, or again."""
    at = func.clock_timestamp() if disabled else None
    connection.execute(update(account).where(account.c.id == account_id).values(disabled_at=at))


def delete_account(connection: Connection, account_id: UUID) -> None:
    """Delete an account, with its sessions, links and roles."""
    connection.execute(delete(account).where(account.c.id == account_id))


def select_members_of_no_other(connection: Connection, team_id: UUID) -> list[AccountRow]:
    """The members of a team that are in no other, and make no teams."""
    other = membership.alias()
    elsewhere = select(other.c.team_id).where(other.c.account_id == account.c.id, other.c.team_id != team_id)
    rows = connection.execute(
        select(account)
        .join(membership, membership.c.account_id == account.c.id)
        .where(membership.c.team_id == team_id, ~account.c.operator, ~elsewhere.exists())
        .order_by(account.c.id)
    )
    return [AccountRow(row.id, row.email, row.name, row.operator) for row in rows]
