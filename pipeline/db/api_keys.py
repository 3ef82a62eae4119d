"""The keys of a team's programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, update

from pipeline.core.roles import Role
from pipeline.db.leases import after
from pipeline.db.tables import account, api_key


@dataclass(frozen=True)
class ApiKey:
    """A key, without its secret.

    Args:
        prefix: with which it begins, so that people can tell keys apart.
        created_by: the account's name; None where it is gone.
        expires_at: None where it does not.
        last_used_at: to the minute.
    """

    id: UUID
    name: str
    prefix: str
    role: Role
    created_by: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


def insert_key(
    connection: Connection,
    team_id: UUID,
    *,
    name: str,
    prefix: str,
    sha256: str,
    role: Role,
    created_by: UUID | None,
    expires_in_s: float | None,
) -> ApiKey:
    """Keep a new key."""
    key_id = connection.execute(
        api_key.insert()
        .values(
            team_id=team_id,
            name=name,
            prefix=prefix,
            secret_sha256=sha256,
            role=role,
            created_by=created_by,
            expires_at=None if expires_in_s is None else after(expires_in_s),
        )
        .returning(api_key.c.id)
    ).scalar_one()
    return _key(connection.execute(_keys().where(api_key.c.id == key_id)).one())


def select_keys(connection: Connection, team_id: UUID) -> list[ApiKey]:
    """The keys of a team that were not revoked, the newest first; those that are too old, too."""
    rows = connection.execute(
        _keys()
        .where(api_key.c.team_id == team_id, api_key.c.revoked_at.is_(None))
        .order_by(api_key.c.created_at.desc(), api_key.c.id)
    )
    return [_key(row) for row in rows]


def revoke_key(connection: Connection, team_id: UUID, key_id: UUID) -> str | None:
    """End a key of a team. Returns its name; None where there is none."""
    name: str | None = connection.execute(
        update(api_key)
        .where(api_key.c.id == key_id, api_key.c.team_id == team_id, api_key.c.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
        .returning(api_key.c.name)
    ).scalar_one_or_none()
    return name


def _keys() -> Any:
    return select(api_key, account.c.name.label("maker")).join(
        account, account.c.id == api_key.c.created_by, isouter=True
    )


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        row.id,
        row.name,
        row.prefix,
        Role(row.role),
        row.maker,
        row.created_at,
        row.expires_at,
        row.last_used_at,
        row.revoked_at,
    )
