"""Runs that wait for the next pass of their schedule: those that the one before did not get to the end of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, select, tuple_, update

from pipeline.core.states import ChunkState
from pipeline.db.chunks import ANALYSED
from pipeline.db.passes import frames_per_s
from pipeline.db.tables import chunk, pass_, run, schedule, video
from pipeline.db.transitions import move_to


@dataclass(frozen=True)
class Hold:
    """Why a run is held.

    Args:
        schedule: whose next pass it waits for; None where that was removed.
    """

    schedule: str | None
    enabled: bool
    next_slot_at: datetime | None


def select_hold(connection: Connection, run_id: UUID) -> Hold | None:
    """Why a run is held; None where it is not."""
    row = connection.execute(
        select(schedule.c.name, schedule.c.enabled, schedule.c.next_slot_at)
        .select_from(run)
        .outerjoin(pass_, pass_.c.id == run.c.pass_id)
        .outerjoin(schedule, schedule.c.id == pass_.c.schedule_id)
        .where(run.c.id == run_id, run.c.held, run.c.state.in_(ANALYSED))
    ).first()
    return None if row is None else Hold(row.name, bool(row.enabled), row.next_slot_at)


def lock_held_runs(
    connection: Connection, schedule_id: UUID, model_fingerprint: str, limit: int
) -> list[tuple[UUID, float]]:
    """Runs that an earlier pass of the schedule held back, in order, locked: ids, and their videos' frames a second."""
    passes = select(pass_.c.id).where(pass_.c.schedule_id == schedule_id)
    statement = (
        select(run.c.id, frames_per_s())
        .join(video, video.c.id == run.c.video_id)
        .where(
            run.c.held,
            run.c.pass_id.in_(passes),
            run.c.state.in_(ANALYSED),
            run.c.model_fingerprint == model_fingerprint,
        )
        .order_by(run.c.due_at, run.c.id)
        .limit(limit)
        .with_for_update(of=run)
    )
    return [(row.id, row.frames_per_s) for row in connection.execute(statement)]


def lock_open_runs(connection: Connection, pass_id: UUID) -> None:
    """Have no worker begin a chunk of a pass's runs until they are held: those that claim one wait.

    What was sent and not begun is taken back: first the chunks, as whoever claims or commits one locks it before its
    run, then what was sent meanwhile, without waiting for whoever waits for this.
    """
    of_pass = select(chunk.c.run_id, chunk.c.idx).join(run, run.c.id == chunk.c.run_id).where(
        chunk.c.state == ChunkState.QUEUED, _open_runs(pass_id)
    )  # fmt: skip
    taken_back = move_to(ChunkState.READY, queued_at=None)
    place = tuple_(chunk.c.run_id, chunk.c.idx)
    connection.execute(taken_back.where(place.in_(of_pass.order_by(*place.clauses).with_for_update(of=chunk))))
    connection.execute(select(run.c.id).where(_open_runs(pass_id)).order_by(run.c.id).with_for_update(key_share=True))
    connection.execute(taken_back.where(place.in_(of_pass.with_for_update(of=chunk, skip_locked=True))))


def hold_runs(connection: Connection, pass_id: UUID) -> int:
    """Have a pass's runs, which are locked, wait for the next; what runs goes on. Returns how many."""
    return connection.execute(update(run).where(_open_runs(pass_id)).values(held=True, chunk_limit=None)).rowcount


def _open_runs(pass_id: UUID) -> ColumnElement[bool]:
    return and_(run.c.pass_id == pass_id, run.c.state.in_(ANALYSED), ~run.c.held)


def select_held_runs(connection: Connection, schedule_id: UUID) -> Sequence[UUID]:
    """The runs of a schedule that wait for its next pass."""
    passes = select(pass_.c.id).where(pass_.c.schedule_id == schedule_id)
    held = select(run.c.id).where(run.c.held, run.c.pass_id.in_(passes), run.c.state.in_(ANALYSED))
    return connection.execute(held).scalars().all()


def select_held_of_pass(connection: Connection, pass_id: UUID) -> Sequence[UUID]:
    """The runs of a pass that are held."""
    held = select(run.c.id).where(run.c.held, run.c.pass_id == pass_id, run.c.state.in_(ANALYSED))
    return connection.execute(held).scalars().all()
