"""Links that work once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, or_, select, update

from pipeline.core.link_kind import LINK_S, LinkKind
from pipeline.core.roles import Role
from pipeline.db.leases import after
from pipeline.db.tables import account, one_time_link, team


@dataclass(frozen=True)
class LinkRow:
    """A link that still works.

    Args:
        account_id: of whom it signs in.
        team: into which it invites, with the role there.
        email: to whom it was sent; None for whoever has it.
    """

    id: UUID
    kind: LinkKind
    account_id: UUID | None
    team_id: UUID | None
    team: str | None
    role: Role | None
    email: str | None
    created_by: str | None
    created_at: datetime
    expires_at: datetime


def insert_link(
    connection: Connection,
    sha256: str,
    kind: LinkKind,
    *,
    account_id: UUID | None = None,
    team_id: UUID | None = None,
    role: Role | None = None,
    email: str | None = None,
    created_by: UUID | None = None,
) -> UUID:
    """Keep a new link. Returns its id."""
    link_id: UUID = connection.execute(
        one_time_link.insert()
        .values(
            token_sha256=sha256,
            kind=kind,
            account_id=account_id,
            team_id=team_id,
            role=role,
            email=email,
            created_by=created_by,
            expires_at=after(LINK_S[kind]),
        )
        .returning(one_time_link.c.id)
    ).scalar_one()
    return link_id


def find_link(connection: Connection, sha256: str) -> LinkRow | None:
    """The link whose token has this SHA-256; None where there is none, or it was used, or is too old."""
    return _one(connection, one_time_link.c.token_sha256 == sha256)


def use_link(connection: Connection, sha256: str) -> LinkRow | None:
    """Use up a link, in the caller's transaction. None where it does not work, or another used it first."""
    used = connection.execute(
        update(one_time_link)
        .where(one_time_link.c.token_sha256 == sha256, _works())
        .values(used_at=func.clock_timestamp())
        .returning(one_time_link.c.id)
    ).scalar_one_or_none()
    return None if used is None else _one(connection, one_time_link.c.id == used, used=True)


def select_invitations(connection: Connection, team_id: UUID) -> list[LinkRow]:
    """The invitations of a team that wait, the newest first."""
    rows = connection.execute(
        _links()
        .where(one_time_link.c.kind == LinkKind.INVITATION, one_time_link.c.team_id == team_id, _works())
        .order_by(one_time_link.c.created_at.desc(), one_time_link.c.id)
    )
    return [_link(row) for row in rows]


def delete_invitation(connection: Connection, team_id: UUID, link_id: UUID) -> str | None:
    """Take an invitation of a team back. Returns for whom it was; None where there is none that waits."""
    gone = connection.execute(
        delete(one_time_link)
        .where(
            one_time_link.c.id == link_id,
            one_time_link.c.team_id == team_id,
            one_time_link.c.kind == LinkKind.INVITATION,
            _works(),
        )
        .returning(one_time_link.c.email)
    ).first()
    return None if gone is None else gone.email or ""


def delete_links(connection: Connection, kind: LinkKind, *, account_id: UUID | None = None) -> None:
    """Delete the unused links of a kind, or those of an account."""
    gone = delete(one_time_link).where(one_time_link.c.kind == kind, one_time_link.c.used_at.is_(None))
    connection.execute(gone if account_id is None else gone.where(one_time_link.c.account_id == account_id))


def delete_links_to(connection: Connection, email: str) -> None:
    """Delete every link that was sent to an address."""
    connection.execute(delete(one_time_link).where(one_time_link.c.email == email))


def delete_done_links(connection: Connection) -> None:
    """Remove links that were used, or are too old."""
    connection.execute(delete(one_time_link).where(or_(one_time_link.c.used_at.is_not(None), ~_works())))


def _works() -> ColumnElement[bool]:
    return and_(one_time_link.c.used_at.is_(None), one_time_link.c.expires_at > func.clock_timestamp())


def _links() -> Any:
    maker = account.alias()
    return (
        select(one_time_link, team.c.name.label("team"), maker.c.name.label("maker"))
        .join(team, team.c.id == one_time_link.c.team_id, isouter=True)
        .join(maker, maker.c.id == one_time_link.c.created_by, isouter=True)
        .where(team.c.erasure_id.is_(None))
    )


def _one(connection: Connection, which: ColumnElement[bool], *, used: bool = False) -> LinkRow | None:
    row = connection.execute(_links().where(which) if used else _links().where(which, _works())).first()
    return None if row is None else _link(row)


def _link(row: Row[Any]) -> LinkRow:
    return LinkRow(
        row.id,
        LinkKind(row.kind),
        row.account_id,
        row.team_id,
        row.team,
        None if row.role is None else Role(row.role),
        row.email,
        row.maker,
        row.created_at,
        row.expires_at,
    )
