"""Accounts and their teams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.roles import Role
from pipeline.db.tables import account, membership, team


@dataclass(frozen=True)
class AccountRow:
    """Somebody who signs in.

    Args:
        operator: may make teams.
    """

    id: UUID
    email: str
    name: str
    operator: bool


@dataclass(frozen=True)
class TeamOf:
    """A team of an account."""

    id: UUID
    name: str
    role: Role


@dataclass(frozen=True)
class Member:
    """An account in a team."""

    account_id: UUID
    email: str
    name: str
    role: Role
    since: datetime


def insert_account(connection: Connection, email: str, name: str, password_hash: str | None) -> AccountRow | None:
    """Add an account. None where there is one of that address."""
    row = connection.execute(
        insert(account)
        .values(email=email.lower(), name=name, password_hash=password_hash)
        .on_conflict_do_nothing()
        .returning(account.c.id, account.c.email, account.c.name, account.c.operator)
    ).first()
    return None if row is None else _account(row)


def make_operator(connection: Connection, account_id: UUID) -> None:
    """Let an account make teams."""
    connection.execute(update(account).where(account.c.id == account_id).values(operator=True))


def find_account(connection: Connection, email: str) -> tuple[AccountRow, str | None] | None:
    """The account of that address and its password's hash; None where there is none, or it is disabled."""
    row = connection.execute(
        select(account).where(account.c.email == email.lower(), account.c.disabled_at.is_(None))
    ).first()
    return None if row is None else (_account(row), row.password_hash)


def select_account(connection: Connection, account_id: UUID) -> AccountRow | None:
    """One account; None where there is none, or it is disabled."""
    row = connection.execute(select(account).where(account.c.id == account_id, account.c.disabled_at.is_(None))).first()
    return None if row is None else _account(row)


def has_accounts(connection: Connection) -> bool:
    """Whether anybody can sign in yet."""
    return connection.execute(select(account.c.id).limit(1)).first() is not None


def holds_password(connection: Connection, account_id: UUID, password_hash: str) -> bool:
    """Whether an account that is not disabled still has this password; it keeps it until the transaction ends."""
    found = select(account.c.id).where(
        account.c.id == account_id, account.c.password_hash == password_hash, account.c.disabled_at.is_(None)
    )
    return connection.execute(found.with_for_update(read=True)).first() is not None


def set_password(connection: Connection, account_id: UUID, password_hash: str | None) -> None:
    """Replace an account's password; None where it is to have none."""
    connection.execute(update(account).where(account.c.id == account_id).values(password_hash=password_hash))


def set_role(connection: Connection, team_id: UUID, account_id: UUID, role: Role) -> None:
    """Make an account a member of a team, or give it another role there."""
    added = insert(membership).values(team_id=team_id, account_id=account_id, role=role)
    connection.execute(added.on_conflict_do_update(index_elements=["team_id", "account_id"], set_={"role": role}))


def remove_member(connection: Connection, team_id: UUID, account_id: UUID) -> bool:
    """Take an account out of a team. Returns whether it was in it."""
    gone = membership.delete().where(membership.c.team_id == team_id, membership.c.account_id == account_id)
    return connection.execute(gone).rowcount == 1


def select_teams_of(connection: Connection, account_id: UUID) -> list[TeamOf]:
    """The teams of an account, by name; without those that are being erased."""
    rows = connection.execute(
        select(team.c.id, team.c.name, membership.c.role)
        .join(membership, membership.c.team_id == team.c.id)
        .where(membership.c.account_id == account_id, team.c.erasure_id.is_(None))
        .order_by(team.c.name)
    )
    return [TeamOf(row.id, row.name, Role(row.role)) for row in rows]


def select_members(connection: Connection, team_id: UUID) -> list[Member]:
    """The members of a team, by name."""
    rows = connection.execute(_members(team_id).order_by(func.lower(account.c.name), account.c.id))
    return [_member(row) for row in rows]


def find_member(connection: Connection, team_id: UUID, account_id: UUID) -> Member | None:
    """One member of a team; None where it is none."""
    row = connection.execute(_members(team_id).where(account.c.id == account_id)).first()
    return None if row is None else _member(row)


def role_of(connection: Connection, team_id: UUID, account_id: UUID) -> Role | None:
    """The role of an account in a team; None where it has none."""
    member = find_member(connection, team_id, account_id)
    return None if member is None else member.role


def count_owners(connection: Connection, team_id: UUID) -> int:
    """How many owners a team has; locked against changes until the end of the transaction."""
    rows: Sequence[UUID] = (
        connection.execute(
            select(membership.c.account_id)
            .where(membership.c.team_id == team_id, membership.c.role == Role.OWNER)
            .order_by(membership.c.account_id)
            .with_for_update()
        )
        .scalars()
        .all()
    )
    return len(rows)


def select_ownerless_teams(connection: Connection) -> list[UUID]:
    """The teams that nobody owns; without those that are being erased."""
    owned = select(membership.c.team_id).where(membership.c.team_id == team.c.id, membership.c.role == Role.OWNER)
    rows = connection.execute(select(team.c.id).where(~owned.exists(), team.c.erasure_id.is_(None)).order_by(team.c.id))
    return list(rows.scalars())


def _members(team_id: UUID) -> Any:
    return (
        select(account.c.id, account.c.email, account.c.name, membership.c.role, membership.c.created_at)
        .join(membership, membership.c.account_id == account.c.id)
        .where(membership.c.team_id == team_id)
    )


def _member(row: Row[Any]) -> Member:
    return Member(row.id, row.email, row.name, Role(row.role), row.created_at)


def _account(row: Row[Any]) -> AccountRow:
    return AccountRow(row.id, row.email, row.name, row.operator)
