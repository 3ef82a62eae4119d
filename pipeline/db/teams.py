"""Teams: their weight in the queue and their own limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.db.tables import team
from pipeline.errors import UnknownTeam


@dataclass(frozen=True)
class TeamRow:
    """One team.

    Args:
        limits: as stored, by the names of `VideoLimits`.
        max_slots: the most chunks that it may have under way; None without a cap.
        quota_bytes: the most that it may store by uploads over the network; None without a quota.
    """

    name: str
    weight: float
    limits: Mapping[str, Any]
    max_slots: int | None = None
    quota_bytes: int | None = None


_COLUMNS = (team.c.name, team.c.weight, team.c.limits, team.c.max_slots, team.c.quota_bytes)


def ensure_team(connection: Connection, name: str) -> UUID:
    """The id of the team of that name, created if needed.

    Raises:
        UnknownTeam: it is being erased.
    """
    connection.execute(insert(team).values(name=name).on_conflict_do_nothing())
    row = connection.execute(select(team.c.id, team.c.erasure_id).where(team.c.name == name)).one()
    if row.erasure_id is not None:
        raise UnknownTeam(f"team {name!r} is being erased; nothing of it is taken in any more")
    team_id: UUID = row.id
    return team_id


def select_teams(connection: Connection) -> list[TeamRow]:
    """Every team, by name."""
    return [TeamRow(*row) for row in connection.execute(select(*_COLUMNS).order_by(team.c.name))]


def select_team_ids(connection: Connection) -> dict[str, UUID]:
    """The id of every team, by its name."""
    return {row.name: row.id for row in connection.execute(select(team.c.name, team.c.id))}


def select_limits(connection: Connection, name: str) -> Mapping[str, Any]:
    """A team's own limits; empty where there is no such team yet."""
    limits: Mapping[str, Any] | None = connection.execute(select(team.c.limits).where(team.c.name == name)).scalar()
    return limits or {}


def team_exists(connection: Connection, name: str) -> bool:
    """Whether there is a team of that name."""
    return connection.execute(select(team.c.id).where(team.c.name == name)).first() is not None


def find_team_id(connection: Connection, name: str) -> UUID | None:
    """The id of the team of that name; None where there is none."""
    return connection.execute(select(team.c.id).where(team.c.name == name)).scalar_one_or_none()


def insert_team(connection: Connection, new: TeamRow) -> bool:
    """Add a team. Returns whether there was none of that name."""
    values = {"name": new.name, **_values(new)}
    added = insert(team).values(**values).on_conflict_do_nothing().returning(team.c.id)
    return connection.execute(added).first() is not None


def lock_team(connection: Connection, name: str) -> TeamRow | None:
    """Lock a team until the transaction ends; None where there is none."""
    row = connection.execute(select(*_COLUMNS).where(team.c.name == name).with_for_update()).first()
    return None if row is None else TeamRow(*row)


def update_team(connection: Connection, changed: TeamRow) -> None:
    """Write a team's weight, limits, cap and quota."""
    connection.execute(update(team).where(team.c.name == changed.name).values(**_values(changed)))


def _values(row: TeamRow) -> dict[str, Any]:
    return {
        "weight": row.weight,
        "limits": dict(row.limits),
        "max_slots": row.max_slots,
        "quota_bytes": row.quota_bytes,
    }


def of_team(statement: Select[Any], name: str | None) -> Select[Any]:
    """A query that joins `team`, restricted to one team unless `name` is None."""
    return statement if name is None else statement.where(team.c.name == name)
