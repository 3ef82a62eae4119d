"""Passes: which videos one analyses again, what it holds back until the next, and how it ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Float, Select, and_, cast, exists, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.budget import Budget
from pipeline.core.selection import Selection
from pipeline.core.states import ChunkState, RunState
from pipeline.db.selections import is_selected, with_current_run
from pipeline.db.tables import chunk, model, pass_, run, schedule, video
from pipeline.db.transitions import move_to

#: Why a pass ended: all was analysed, its window closed, its budget is used up, the next slot came, its schedule was
#: disabled, changed or removed, or it was not begun because nobody was there during its window.
Ended = Literal["all done", "window closed", "budget used up", "next slot", "stopped", "missed"]

_ANALYSED = (str(RunState.QUEUED), str(RunState.RUNNING))
_OPEN = (str(RunState.WAITING), *_ANALYSED, str(RunState.FINISHING))
_UNSUCCESSFUL = (str(RunState.FAILED), str(RunState.CANCELLED))


@dataclass(frozen=True)
class PassRow:
    """One pass.

    Args:
        schedule: name of the schedule that it is of; None where it was asked for by hand, or that was removed.
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


@dataclass(frozen=True)
class Candidate:
    """A video that a pass may take."""

    video_id: UUID
    created_at: datetime
    frames: int
    frames_per_s: float


def insert_pass(connection: Connection, values: Mapping[str, Any]) -> UUID | None:
    """Open a pass; None where the schedule has one for this slot already."""
    opened: UUID | None = connection.execute(
        insert(pass_).values(**values).on_conflict_do_nothing().returning(pass_.c.id)
    ).scalar_one_or_none()
    return opened


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
    connection: Connection, *, schedule_id: UUID | None = None, pass_id: UUID | None = None, limit: int | None = None
) -> list[PassRow]:
    """Passes, the newest first."""
    statement = _query().order_by(pass_.c.opened_at.desc(), pass_.c.id).limit(limit)
    if schedule_id is not None:
        statement = statement.where(pass_.c.schedule_id == schedule_id)
    if pass_id is not None:
        statement = statement.where(pass_.c.id == pass_id)
    return read_passes(connection, statement)


def select_candidates(
    connection: Connection, wanted: PassRow, now: datetime, worse_models: Collection[str], limit: int | None
) -> list[Candidate]:
    """The next videos that a pass is to take, in the order in which they were taken in.

    A video is left out that has a run by the model that stands, or one of this schedule that failed or was cancelled:
    `poseline retry` is the way to try that again.
    """
    statement = (
        select(video.c.id, video.c.created_at, video.c.frames, _frames_per_s())
        .select_from(with_current_run())
        .where(
            is_selected(wanted.selection, wanted.team_id, now, worse_models),
            ~_has_run(wanted.model_fingerprint, wanted.schedule_id),
        )
        .order_by(video.c.created_at, video.c.id)
        .limit(limit)
    )
    if wanted.video_ids is not None:
        statement = statement.where(video.c.id.in_(wanted.video_ids))
    if wanted.after is not None:
        statement = statement.where(tuple_(video.c.created_at, video.c.id) > tuple_(*wanted.after))
    return [Candidate(*row) for row in connection.execute(statement)]


def lock_held_runs(
    connection: Connection, schedule_id: UUID, model_fingerprint: str, limit: int
) -> list[tuple[UUID, float]]:
    """Runs that an earlier pass of the schedule held back, in order, locked: ids, and their videos' frames a second."""
    passes = select(pass_.c.id).where(pass_.c.schedule_id == schedule_id)
    statement = (
        select(run.c.id, _frames_per_s())
        .join(video, video.c.id == run.c.video_id)
        .where(
            run.c.held,
            run.c.pass_id.in_(passes),
            run.c.state.in_(_ANALYSED),
            run.c.model_fingerprint == model_fingerprint,
        )
        .order_by(run.c.created_at, run.c.id)
        .limit(limit)
        .with_for_update(of=run)
    )
    return [(row.id, row.frames_per_s) for row in connection.execute(statement)]


def select_ready_chunks(connection: Connection, run_id: UUID) -> list[tuple[int, int]]:
    """Number and frames of each chunk of a run that nobody has begun, in order."""
    statement = select(chunk.c.idx, chunk.c.frames).where(chunk.c.run_id == run_id, chunk.c.state == ChunkState.READY)
    return [(row.idx, row.frames) for row in connection.execute(statement.order_by(chunk.c.idx))]


def give_run(connection: Connection, run_id: UUID, pass_id: UUID, promotion: str, chunk_limit: int | None) -> None:
    """Give a run to a pass, up to a chunk unless that is None."""
    connection.execute(
        update(run)
        .where(run.c.id == run_id)
        .values(pass_id=pass_id, promotion=promotion, held=False, chunk_limit=chunk_limit)
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


def hold_runs(connection: Connection, pass_id: UUID) -> int:
    """Have what a pass's runs have not begun wait for the next; what runs goes on. Returns how many are held."""
    own = and_(run.c.pass_id == pass_id, run.c.state.in_(_ANALYSED), ~run.c.held)
    # Chunks before runs, as whoever commits one locks them.
    connection.execute(
        move_to(ChunkState.READY, queued_at=None).where(
            chunk.c.state == ChunkState.QUEUED, chunk.c.run_id == run.c.id, own
        )
    )
    return connection.execute(update(run).where(own).values(held=True, chunk_limit=None)).rowcount


def select_held_runs(connection: Connection, schedule_id: UUID) -> Sequence[UUID]:
    """The runs of a schedule that wait for its next pass."""
    passes = select(pass_.c.id).where(pass_.c.schedule_id == schedule_id)
    held = select(run.c.id).where(run.c.held, run.c.pass_id.in_(passes), run.c.state.in_(_ANALYSED))
    return connection.execute(held).scalars().all()


def sum_up_pass(connection: Connection, pass_id: UUID) -> dict[str, Any]:
    """What a pass came to so far: runs by state, and the frames that were analysed or are in hand."""
    states = connection.execute(
        select(run.c.state, run.c.held, func.count()).where(run.c.pass_id == pass_id).group_by(run.c.state, run.c.held)
    ).all()
    ended = {str(RunState.DONE), *_UNSUCCESSFUL}
    frames = connection.execute(
        select(func.coalesce(func.sum(chunk.c.frames), 0))
        .join(run, run.c.id == chunk.c.run_id)
        .join(pass_, pass_.c.id == run.c.pass_id)
        .where(
            pass_.c.id == pass_id,
            or_(
                chunk.c.state == ChunkState.RUNNING,
                and_(
                    chunk.c.state.in_([ChunkState.DONE, ChunkState.QUARANTINED]),
                    chunk.c.finished_at >= pass_.c.opened_at,
                ),
            ),
        )
    ).scalar_one()
    return {
        "videos": sum(row[2] for row in states),
        "done": sum(row[2] for row in states if row.state == str(RunState.DONE)),
        "failed": sum(row[2] for row in states if row.state == str(RunState.FAILED)),
        "cancelled": sum(row[2] for row in states if row.state == str(RunState.CANCELLED)),
        "held": sum(row[2] for row in states if row.held and row.state not in ended),
        "open": sum(row[2] for row in states if not row.held and row.state not in ended),
        "frames": int(frames),
    }


def sum_up_selection(
    connection: Connection, wanted: PassRow, now: datetime, worse_models: Collection[str]
) -> tuple[int, int, float]:
    """Of the videos that a pass could take from the first on: how many, their frames, and their seconds."""
    statement = (
        select(func.count(), func.coalesce(func.sum(video.c.frames), 0), func.coalesce(func.sum(_video_s()), 0.0))
        .select_from(with_current_run())
        .where(
            is_selected(wanted.selection, wanted.team_id, now, worse_models),
            ~_has_run(wanted.model_fingerprint, wanted.schedule_id),
        )
    )
    row = connection.execute(statement).one()
    return row[0], int(row[1]), float(row[2])


def _has_run(model_fingerprint: str, schedule_id: UUID | None) -> ColumnElement[bool]:
    """Whether a video has a run by the model that keeps it out of a pass."""
    tried: ColumnElement[bool] = run.c.state.not_in(_UNSUCCESSFUL)
    if schedule_id is not None:
        tried = or_(tried, run.c.pass_id.in_(select(pass_.c.id).where(pass_.c.schedule_id == schedule_id)))
    return exists().where(run.c.video_id == video.c.id, run.c.model_fingerprint == model_fingerprint, tried)


def _video_s() -> ColumnElement[float]:
    return cast(video.c.last_pts - video.c.first_pts, Float) * video.c.time_base_num / video.c.time_base_den


def _frames_per_s() -> ColumnElement[float]:
    """Of a video with one frame, or all at one time: one."""
    measured = (video.c.frames - 1) / func.nullif(_video_s(), 0)
    return func.coalesce(func.nullif(measured, 0), 1.0).label("frames_per_s")


def _query() -> Select[Any]:
    return (
        select(pass_, schedule.c.name.label("schedule"), model.c.name.label("model"))
        .join(model, model.c.fingerprint == pass_.c.model_fingerprint)
        .outerjoin(schedule, schedule.c.id == pass_.c.schedule_id)
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
