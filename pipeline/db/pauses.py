"""Pauses: teams and lanes of which nothing more is sent. What was sent goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, Table, func, literal, null, select, union_all, update

from pipeline.core.states import RunState
from pipeline.db.tables import lane, run, team

Pausable = Literal["team", "lane"]

_TABLES: dict[Pausable, Table] = {"team": team, "lane": lane}
_OPEN = (RunState.WAITING, RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True)
class Pause:
    """A team or a lane that is paused."""

    kind: Pausable
    name: str
    since: datetime


def set_pause(connection: Connection, kind: Pausable, name: str) -> bool | None:
    """Pause a team or lane. Returns whether that changed it, None where there is none of that name."""
    table = _TABLES[kind]
    statement = update(table).where(table.c.name == name)
    paused = statement.where(table.c.paused_at.is_(None)).values(paused_at=func.clock_timestamp())
    return bool(connection.execute(paused).rowcount) if _exists(connection, table, name) else None


def clear_pause(connection: Connection, kind: Pausable, name: str) -> bool | None:
    """Resume a team or lane. Returns whether that changed it, None where there is none of that name."""
    table = _TABLES[kind]
    statement = update(table).where(table.c.name == name, table.c.paused_at.is_not(None)).values(paused_at=null())
    return bool(connection.execute(statement).rowcount) if _exists(connection, table, name) else None


def select_pauses(connection: Connection) -> list[Pause]:
    """What is paused, the lanes first."""
    paused = union_all(
        *(
            select(literal(kind).label("kind"), table.c.name, table.c.paused_at.label("since")).where(
                table.c.paused_at.is_not(None)
            )
            for kind, table in _TABLES.items()
        )
    ).order_by("kind", "name")
    return [Pause(row.kind, row.name, row.since) for row in connection.execute(paused)]


def select_pauses_of(connection: Connection, run_id: UUID) -> list[Pause]:
    """The pauses that hold a run back: of its team, of its lane."""
    row = connection.execute(
        select(
            run.c.lane,
            lane.c.paused_at.label("lane_since"),
            team.c.name.label("team"),
            team.c.paused_at.label("team_since"),
        )
        .join(lane, lane.c.name == run.c.lane)
        .join(team, team.c.id == run.c.team_id)
        .where(run.c.id == run_id)
    ).one()
    found: tuple[tuple[Pausable, str, datetime | None], ...] = (
        ("lane", row.lane, row.lane_since),
        ("team", row.team, row.team_since),
    )
    return [Pause(kind, name, since) for kind, name, since in found if since is not None]


def count_open_runs(connection: Connection, kind: Pausable, name: str) -> int:
    """How many runs of a team or lane have not ended, not counting those that are being finished."""
    of_part = run.c.lane == name if kind == "lane" else team.c.name == name
    statement = select(func.count()).select_from(run.join(team, team.c.id == run.c.team_id))
    counted: int = connection.execute(
        statement.where(of_part, run.c.state.in_([str(state) for state in _OPEN]))
    ).scalar_one()
    return counted


def select_lanes(connection: Connection) -> list[str]:
    """The lanes' names, in the queue's order."""
    return list(connection.execute(select(lane.c.name).order_by(lane.c.rank)).scalars())


def _exists(connection: Connection, table: Table, name: str) -> bool:
    return connection.execute(select(table.c.name).where(table.c.name == name)).first() is not None
