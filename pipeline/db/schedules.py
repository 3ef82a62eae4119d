"""Schedules: what is to be analysed again, when, and by which model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from pipeline.core.selection import Selection
from pipeline.db.engine import violated_constraint
from pipeline.db.passes import PassRow, select_passes
from pipeline.db.tables import model, schedule, team
from pipeline.errors import NotFound, UsageError


@dataclass(frozen=True)
class ScheduleRow:
    """One schedule.

    Args:
        team: whose videos; None for all teams.
        window_s: how long after its slot a pass may send work; None for as long as it takes.
        budget_frames, budget_video_s: the most that one pass analyses; None without a limit.
        promotion: the rule by which a new run becomes its video's current one, as text.
        next_slot_at: when the next pass is due.
    """

    id: UUID
    name: str
    team_id: UUID | None
    team: str | None
    cron: str
    timezone: str
    window_s: int | None
    selection: Selection
    model_fingerprint: str
    model: str
    budget_frames: int | None
    budget_video_s: float | None
    promotion: str
    enabled: bool
    next_slot_at: datetime | None
    created_at: datetime


def insert_schedule(connection: Connection, name: str, values: Mapping[str, Any]) -> UUID:
    """Add a schedule.

    Raises:
        UsageError: there is one of that name.
    """
    try:
        added: UUID = connection.execute(
            insert(schedule).values(name=name, **values).returning(schedule.c.id)
        ).scalar_one()
    except IntegrityError as error:
        if violated_constraint(error) != "schedule_name_key":
            raise
        raise UsageError(
            f"there is a schedule {name!r} already; `poseline schedule edit {shlex.quote(name)}` changes it"
        ) from error
    return added


def update_schedule(connection: Connection, schedule_id: UUID, values: Mapping[str, Any]) -> None:
    """Change a schedule's columns."""
    connection.execute(update(schedule).where(schedule.c.id == schedule_id).values(**values))


def delete_schedule(connection: Connection, schedule_id: UUID) -> None:
    """Remove a schedule; its passes stay."""
    connection.execute(delete(schedule).where(schedule.c.id == schedule_id))


def select_schedules(connection: Connection, *, team_name: str | None) -> list[ScheduleRow]:
    """The schedules by name, of that team only unless it is None."""
    statement = _query().order_by(schedule.c.name)
    if team_name is not None:
        statement = statement.where(team.c.name == team_name)
    return _read(connection, statement)


def select_schedule(connection: Connection, name: str, *, team_name: str | None, lock: bool = False) -> ScheduleRow:
    """One schedule by its name, of that team only unless it is None.

    Raises:
        NotFound: there is none.
    """
    statement = _query().where(schedule.c.name == name)
    if team_name is not None:
        statement = statement.where(team.c.name == team_name)
    found = _read(connection, statement.with_for_update(of=schedule) if lock else statement)
    if not found:
        raise NotFound(f"there is no schedule {name!r}; `poseline schedule list` lists them")
    return found[0]


def select_schedule_passes(
    connection: Connection, name: str, *, team_name: str | None = None, limit: int | None = None
) -> list[PassRow]:
    """The passes of a schedule by its name, the newest first; also of one that was removed.

    Raises:
        NotFound: there is none of that name, and never was.
    """
    found = select_passes(connection, schedule_name=name, team_name=team_name, limit=limit)
    if not found:
        select_schedule(connection, name, team_name=team_name)
    return found


def lock_due_schedules(connection: Connection, now: datetime) -> list[ScheduleRow]:
    """The enabled schedules whose slot has come, locked; those that another process locks are left to it."""
    due = _query().where(schedule.c.enabled, schedule.c.next_slot_at <= now)
    return _read(connection, due.with_for_update(of=schedule, skip_locked=True))


def _query() -> Select[Any]:
    return (
        select(schedule, team.c.name.label("team"), model.c.name.label("model"))
        .join(model, model.c.fingerprint == schedule.c.model_fingerprint)
        .outerjoin(team, team.c.id == schedule.c.team_id)
    )


def _read(connection: Connection, statement: Select[Any]) -> list[ScheduleRow]:
    rows: Sequence[Any] = connection.execute(statement).mappings().all()
    return [
        ScheduleRow(
            **{name: row[name] for name in ScheduleRow.__dataclass_fields__ if name != "selection"},
            selection=Selection.parse(row["selection"]),
        )
        for row in rows
    ]
