"""Passes: which videos one analyses again, what it holds back until the next, and how it ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    Text,
    and_,
    cast,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.budget import Budget
from pipeline.core.selection import Selection
from pipeline.core.states import ChunkState, RunState
from pipeline.db.live_runs import is_live
from pipeline.db.selections import is_selected, with_current_run
from pipeline.db.tables import chunk, model, pass_, run, team, video
from pipeline.errors import NotFound

#: Why a pass ended: all was analysed, its window closed, its budget is used up, the next slot came, its schedule was
#: disabled, changed or removed, or it was not begun because nobody was there during its window.
Ended = Literal["all done", "window closed", "budget used up", "next slot", "stopped", "missed"]

#: Fewer characters of an id name nothing.
_SHORTEST_ID = 4
_ANALYSED = (str(RunState.QUEUED), str(RunState.RUNNING))
_OPEN = (str(RunState.WAITING), *_ANALYSED, str(RunState.FINISHING))


@dataclass(frozen=True)
class Scope:
    """Which videos a pass may take: those that are selected and have no run by its model yet.

    Args:
        team_id: None for all teams.
        schedule_id: a video whose run by this schedule failed or was cancelled is left out, too.
        video_ids: only these; None without a limit.
    """

    model_fingerprint: str
    model: str
    selection: Selection
    team_id: UUID | None = None
    schedule_id: UUID | None = None
    video_ids: Sequence[UUID] | None = None


@dataclass(frozen=True)
class PassRow:
    """One pass.

    Args:
        schedule: name of the schedule that it is of; None where it was asked for by hand.
        slots_missed: before its slot, by a machine that slept.
        video_ids: the videos that it is limited to; None where the selection alone says which.
        after: the place in the list of videos, by when they were taken in: creation time and id of the last one given.
        no_more: why no more videos are given to it; None while some may be.
        result: what it came to, once it is closed.
    """

    id: UUID
    schedule_id: UUID | None
    schedule: str | None
    name: str
    slot_at: datetime | None
    slots_missed: int
    team_id: UUID | None
    team: str | None
    selection: Selection
    model_fingerprint: str
    model: str
    budget: Budget
    promotion: str
    video_ids: Sequence[UUID] | None
    opened_at: datetime
    closes_at: datetime | None
    closed_at: datetime | None
    ended: Ended | None
    no_more: str | None
    after: tuple[datetime, UUID] | None
    result: Mapping[str, Any] | None

    @property
    def scope(self) -> Scope:
        """Which videos it may take."""
        return Scope(self.model_fingerprint, self.model, self.selection, self.team_id, self.schedule_id, self.video_ids)


@dataclass(frozen=True)
class Candidate:
    """A video that a pass may take."""

    video_id: UUID
    created_at: datetime
    frames: int
    frames_per_s: float
    name: str
    team: str


def insert_pass(connection: Connection, values: Mapping[str, Any]) -> UUID | None:
    """Open a pass; None where the schedule has one for this slot already."""
    opened = insert(pass_).values(**values).on_conflict_do_nothing().returning(pass_.c.id)
    pass_id: UUID | None = connection.execute(opened).scalar_one_or_none()
    return pass_id


def select_open_passes(connection: Connection, schedule_id: UUID | None = None) -> Sequence[UUID]:
    """The passes that have not ended, the oldest first; of that schedule only unless it is None."""
    statement = select(pass_.c.id).where(pass_.c.closed_at.is_(None)).order_by(pass_.c.opened_at, pass_.c.id)
    if schedule_id is not None:
        statement = statement.where(pass_.c.schedule_id == schedule_id)
    return connection.execute(statement).scalars().all()


def lock_open_pass(connection: Connection, pass_id: UUID) -> PassRow | None:
    """A pass, locked until the transaction ends; None where it has ended or another process is about it."""
    statement = _query().where(pass_.c.id == pass_id, pass_.c.closed_at.is_(None))
    found = read_passes(connection, statement.with_for_update(of=pass_, skip_locked=True))
    return found[0] if found else None


def select_passes(
    connection: Connection,
    *,
    schedule_id: UUID | None = None,
    schedule_name: str | None = None,
    pass_id: UUID | None = None,
    team_name: str | None = None,
    limit: int | None = None,
) -> list[PassRow]:
    """Passes, the newest first, of that team only unless it is None.

    Args:
        schedule_name: also where the schedule was removed.
    """
    statement = _query().order_by(pass_.c.opened_at.desc(), pass_.c.id).limit(limit)
    if schedule_id is not None:
        statement = statement.where(pass_.c.schedule_id == schedule_id)
    if schedule_name is not None:
        statement = statement.where(pass_.c.schedule_name == schedule_name)
    if pass_id is not None:
        statement = statement.where(pass_.c.id == pass_id)
    if team_name is not None:
        statement = statement.where(team.c.name == team_name)
    return read_passes(connection, statement)


def find_passes(connection: Connection, name_or_id: str, *, team_name: str | None = None) -> list[PassRow]:
    """Passes of that name, or else whose id begins so, the newest first; of that team only unless it is None.

    Raises:
        NotFound: there is none.
    """
    statement = _query().order_by(pass_.c.opened_at.desc(), pass_.c.id)
    if team_name is not None:
        statement = statement.where(team.c.name == team_name)
    found = read_passes(connection, statement.where(pass_.c.name == name_or_id))
    compact = name_or_id.lower().replace("-", "")
    if not found and len(compact) >= _SHORTEST_ID:
        starts = func.replace(cast(pass_.c.id, Text), "-", "").startswith(compact, autoescape=True)
        found = read_passes(connection, statement.where(starts))
    if not found:
        raise NotFound(f"there is no pass {name_or_id!r}; `poseline schedule passes` lists them")
    return found


def select_candidates(
    connection: Connection,
    scope: Scope,
    now: datetime,
    worse_models: Collection[str],
    *,
    limit: int | None = None,
    after: tuple[datetime, UUID] | None = None,
) -> list[Candidate]:
    """The videos that a pass may take, in the order in which they were taken in.

    Args:
        worse_models: names of the models that `accuracy=worse` means.
        after: the place in that order to begin behind.
    """
    statement = (
        select(video.c.id, video.c.created_at, video.c.frames, frames_per_s(), video.c.name, team.c.name.label("team"))
        .select_from(with_current_run().join(team, team.c.id == video.c.team_id))
        .where(
            is_selected(scope.selection, scope.team_id, now, worse_models),
            ~_has_run(scope.model_fingerprint, scope.schedule_id),
            video.c.original_removed_at.is_(None),
        )
        .order_by(video.c.created_at, video.c.id)
        .limit(limit)
    )
    if scope.video_ids is not None:
        statement = statement.where(video.c.id.in_(scope.video_ids))
    if after is not None:
        statement = statement.where(tuple_(video.c.created_at, video.c.id) > tuple_(*after))
    return [Candidate(*row) for row in connection.execute(statement)]


def count_selected(connection: Connection, scope: Scope, now: datetime, worse_models: Collection[str]) -> int:
    """How many videos are selected, whether they have a run by the model or not."""
    where = is_selected(scope.selection, scope.team_id, now, worse_models)
    return connection.execute(select(func.count()).select_from(with_current_run()).where(where)).scalar_one()


def select_waiting_chunks(connection: Connection, run_id: UUID) -> list[tuple[int, int]]:
    """Number and frames of each chunk of a run that nobody has begun, in order."""
    waiting = chunk.c.run_id == run_id, chunk.c.state.in_([ChunkState.READY, ChunkState.QUEUED])
    rows = connection.execute(select(chunk.c.idx, chunk.c.frames).where(*waiting).order_by(chunk.c.idx))
    return [(row.idx, row.frames) for row in rows]


def give_run(connection: Connection, run_id: UUID, pass_id: UUID, promotion: str, chunk_limit: int | None) -> None:
    """Give a run to a pass, behind those that it was given before, up to a chunk unless that is None."""
    due_at = func.clock_timestamp()
    connection.execute(
        update(run)
        .where(run.c.id == run_id)
        .values(pass_id=pass_id, promotion=promotion, held=False, chunk_limit=chunk_limit, due_at=due_at)
    )


def update_pass(connection: Connection, pass_id: UUID, values: Mapping[str, Any]) -> None:
    """Change a pass's columns."""
    connection.execute(update(pass_).where(pass_.c.id == pass_id).values(**values))


def count_unfinished(connection: Connection, pass_id: UUID) -> tuple[int, int]:
    """How many of a pass's runs have chunks to be sent or under way, and how many have not ended in any way."""
    limit = func.coalesce(run.c.chunk_limit, 2**31 - 1)
    works = exists().where(
        chunk.c.run_id == run.c.id,
        or_(
            chunk.c.state.in_([ChunkState.QUEUED, ChunkState.RUNNING]),
            and_(chunk.c.state == ChunkState.READY, chunk.c.idx < limit),
        ),
    )
    row = connection.execute(
        select(func.count().filter(works), func.count()).where(
            run.c.pass_id == pass_id, run.c.state.in_(_OPEN), ~run.c.held
        )
    ).one()
    return row[0], row[1]


def _has_run(model_fingerprint: str, schedule_id: UUID | None) -> ColumnElement[bool]:
    """Whether a video has a run by the model that keeps it out of a pass."""
    tried: ColumnElement[bool] = run.c.state.not_in([RunState.FAILED, RunState.CANCELLED])
    if schedule_id is not None:
        tried = or_(tried, run.c.pass_id.in_(select(pass_.c.id).where(pass_.c.schedule_id == schedule_id)))
    return exists().where(run.c.video_id == video.c.id, run.c.model_fingerprint == model_fingerprint, ~is_live(), tried)


def _video_s() -> ColumnElement[Any]:
    return cast(video.c.last_pts - video.c.first_pts, Float) * video.c.time_base_num / video.c.time_base_den


def frames_per_s() -> ColumnElement[float]:
    """SQL: the frames a second of a video; one where all its frames are at one time."""
    measured: ColumnElement[float] = func.coalesce(video.c.frames / func.nullif(_video_s(), 0), 1.0, type_=Float)
    return measured.label("frames_per_s")


def _query() -> Select[Any]:
    return (
        select(pass_, pass_.c.schedule_name.label("schedule"), model.c.name.label("model"), team.c.name.label("team"))
        .join(model, model.c.fingerprint == pass_.c.model_fingerprint)
        .outerjoin(team, team.c.id == pass_.c.team_id)
    )


def read_passes(connection: Connection, statement: Select[Any]) -> list[PassRow]:
    """The rows of a narrowed query of passes."""
    made = {"selection", "budget", "after"}
    return [
        PassRow(
            **{name: row[name] for name in PassRow.__dataclass_fields__ if name not in made},
            selection=Selection.parse(row["selection"]),
            budget=Budget(row["budget_frames"], row["budget_video_s"], row["frames_given"], row["video_s_given"]),
            after=None if row["after_id"] is None else (row["after_created_at"], row["after_id"]),
        )
        for row in connection.execute(statement).mappings()
    ]
