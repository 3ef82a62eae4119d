"""What passes came to, and what waits for the next."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, select

from pipeline.core.states import ChunkState, RunState
from pipeline.db.chunks import ANALYSED
from pipeline.db.passes import PassRow
from pipeline.db.tables import chunk, pass_, run


def sum_up_pass(connection: Connection, one: PassRow) -> dict[str, Any]:
    """What a pass came to so far: its runs by state, and the frames that were analysed or are in hand.

    Runs that were held are another pass's once that takes them; the frames of a pass that has ended stay.
    """
    states = connection.execute(
        select(run.c.state, run.c.held, func.count()).where(run.c.pass_id == one.id).group_by(run.c.state, run.c.held)
    ).all()
    ended = {str(RunState.DONE), str(RunState.FAILED), str(RunState.CANCELLED)}
    if one.result is None:
        given = connection.execute(select(pass_.c.frames_given).where(pass_.c.id == one.id)).scalar_one()
        frames = given - _sum_waiting_frames(connection, run.c.pass_id == one.id, ~run.c.held)
    else:
        frames = one.result["frames"]
    return {
        "videos": sum(row[2] for row in states),
        "done": sum(row[2] for row in states if row.state == str(RunState.DONE)),
        "failed": sum(row[2] for row in states if row.state == str(RunState.FAILED)),
        "cancelled": sum(row[2] for row in states if row.state == str(RunState.CANCELLED)),
        "held": sum(row[2] for row in states if row.held and row.state not in ended),
        "open": sum(row[2] for row in states if not row.held and row.state not in ended),
        "frames": frames,
    }


def _sum_waiting_frames(connection: Connection, *which: ColumnElement[bool]) -> int:
    """The frames of chunks that nobody has begun, of some runs, up to each run's limit."""
    statement = (
        select(func.coalesce(func.sum(chunk.c.frames), 0))
        .join(run, run.c.id == chunk.c.run_id)
        .where(
            *which,
            run.c.state.in_(ANALYSED),
            chunk.c.state.in_([ChunkState.READY, ChunkState.QUEUED]),
            chunk.c.idx < func.coalesce(run.c.chunk_limit, 2**31 - 1),
        )
    )
    return int(connection.execute(statement).scalar_one())


def sum_up_begun(connection: Connection, schedule_id: UUID) -> tuple[int, int]:
    """What a schedule's passes have begun and not ended: runs, and their frames that no worker has begun."""
    own = run.c.pass_id.in_(select(pass_.c.id).where(pass_.c.schedule_id == schedule_id))
    runs = select(func.count()).select_from(run).where(own, run.c.state.in_(ANALYSED))
    waiting = (
        select(func.coalesce(func.sum(chunk.c.frames), 0))
        .join(run, run.c.id == chunk.c.run_id)
        .where(own, run.c.state.in_(ANALYSED), chunk.c.state.in_([ChunkState.READY, ChunkState.QUEUED]))
    )
    return connection.execute(runs).scalar_one(), int(connection.execute(waiting).scalar_one())
