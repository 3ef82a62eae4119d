"""Teams: their share of the queue, and the limits that are theirs alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select, update

from pipeline.db.tables import team
from pipeline.db.uploads import ensure_team


@dataclass(frozen=True)
class TeamRow:
    """One team; `limits` as they are stored, by the names of settings."""

    name: str
    weight: float
    limits: Mapping[str, Any]


def select_teams(connection: Connection) -> list[TeamRow]:
    """Every team, by name."""
    rows = connection.execute(select(team.c.name, team.c.weight, team.c.limits).order_by(team.c.name))
    return [TeamRow(row.name, row.weight, row.limits) for row in rows]


def select_limits(connection: Connection, name: str) -> Mapping[str, Any]:
    """A team's own limits; none where it has no video yet."""
    limits: Mapping[str, Any] | None = connection.execute(select(team.c.limits).where(team.c.name == name)).scalar()
    return limits or {}


def lock_team(connection: Connection, name: str) -> TeamRow:
    """One team, held still until the transaction ends; made if need be."""
    team_id = ensure_team(connection, name)
    row = connection.execute(
        select(team.c.name, team.c.weight, team.c.limits).where(team.c.id == team_id).with_for_update()
    ).one()
    return TeamRow(row.name, row.weight, row.limits)


def update_team(connection: Connection, changed: TeamRow) -> None:
    """Write a team's weight and limits."""
    connection.execute(
        update(team).where(team.c.name == changed.name).values(weight=changed.weight, limits=dict(changed.limits))
    )


def of_team(statement: Select[Any], name: str | None) -> Select[Any]:
    """A query that joins `team`, restricted to one team unless `name` is None."""
    return statement if name is None else statement.where(team.c.name == name)
