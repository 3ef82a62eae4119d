"""Chunks: queued, claimed under a lease, committed once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select, update

from pipeline.core.chunk_plan import ChunkPlan
from pipeline.core.precision import Precision
from pipeline.core.states import ChunkState, RunState
from pipeline.db.frames import copy_frames
from pipeline.db.leases import UNLEASED, Lease, lease_values
from pipeline.db.tables import chunk, frame, run, team
from pipeline.db.transitions import move_to
from pipeline.errors import LeaseLost

#: States of a chunk that is still to be done.
OPEN = (ChunkState.READY, ChunkState.QUEUED, ChunkState.RUNNING)
#: States of a run whose chunks may be sent and claimed.
ANALYSED = (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True)
class ClaimedChunk:
    """A chunk that this worker owns until its lease expires.

    Args:
        lone: whether its team may have one chunk under way.
        live: what its run says of the live session whose poses it has; None where they are computed.
    """

    lease: Lease
    plan: ChunkPlan
    video_id: UUID
    model_fingerprint: str
    precision: Precision = "fp32"
    lone: bool = False
    live: Mapping[str, Any] | None = None

    @property
    def run_id(self) -> UUID:
        return self.lease.key[0]


def insert_chunks(connection: Connection, run_id: UUID, plans: Iterable[ChunkPlan]) -> None:
    """Insert all chunks of a run, before any is visible."""
    connection.execute(
        insert(chunk),
        [
            {
                "run_id": run_id,
                "idx": plan.idx,
                "state": ChunkState.READY,
                "first_frame": plan.first_frame,
                "frames": plan.frames,
                "start_pts": plan.start_pts,
                "end_pts": plan.end_pts,
                "seek_pts": plan.seek_pts,
            }
            for plan in plans
        ],
    )


def claim_chunk(connection: Connection, run_id: UUID, idx: int, worker: str, lease_s: float) -> ClaimedChunk | None:
    """Claim a chunk; None where the message is stale: done, owned by another worker, in back-off, or its run ended or
    waits for the next pass.

    The first claim of a run sets it running.
    """
    row = connection.execute(
        move_to(
            ChunkState.RUNNING,
            **lease_values(worker, lease_s, chunk),
            frames_done=0,
            started_at=func.clock_timestamp(),
        )
        .where(
            chunk.c.run_id == run_id,
            chunk.c.idx == idx,
            chunk.c.not_before <= func.clock_timestamp(),
            run.c.id == chunk.c.run_id,
            run.c.state.in_(ANALYSED),
            ~run.c.held,
        )
        .returning(
            chunk.c.lease_token,
            chunk.c.first_frame,
            chunk.c.frames,
            chunk.c.start_pts,
            chunk.c.end_pts,
            chunk.c.seek_pts,
            chunk.c.errors,
            chunk.c.expirations,
            chunk.c.deaths,
            run.c.video_id,
            run.c.model_fingerprint,
            run.c.precision,
            run.c.params["live"].label("live"),
            run.c.state.label("run_state"),
            run.c.pass_id,
            select(func.coalesce(team.c.max_slots == 1, False))
            .where(team.c.id == run.c.team_id)
            .scalar_subquery()
            .label("lone"),
        )
    ).first()
    if row is None:
        _take_back_held(connection, run_id, idx, ChunkState.QUEUED)
        return None
    if row.run_state == RunState.QUEUED:  # the run's row is locked by its first claim alone, and after the chunk's
        running = move_to(RunState.RUNNING, started_at=func.clock_timestamp()).where(run.c.id == run_id, ~run.c.held)
        connection.execute(running)
    if row.pass_id is not None:
        # A pass that closes locks its runs, counts what nobody has begun, and holds them: what is claimed is counted.
        connection.execute(select(run.c.id).where(run.c.id == run_id).with_for_update(read=True))
        if _take_back_held(connection, run_id, idx, ChunkState.RUNNING):
            return None
    plan = ChunkPlan(idx, row.first_frame, row.frames, row.start_pts, row.end_pts, row.seek_pts)
    lease = Lease("chunk", (run_id, idx), row.lease_token, row.errors, row.expirations, row.deaths, worker)
    return ClaimedChunk(lease, plan, row.video_id, row.model_fingerprint, row.precision, row.lone, row.live)


def _take_back_held(connection: Connection, run_id: UUID, idx: int, state: ChunkState) -> bool:
    """Have a chunk wait for the next pass if its run does. Returns whether it does."""
    attempts = chunk.c.attempts - (1 if state is ChunkState.RUNNING else 0)
    taken_back = move_to(ChunkState.READY, **UNLEASED, attempts=attempts).where(
        chunk.c.run_id == run_id, chunk.c.idx == idx, chunk.c.state == state, run.c.id == chunk.c.run_id, run.c.held
    )
    return connection.execute(taken_back).rowcount == 1


def commit_chunk(
    connection: Connection, claimed: ClaimedChunk, frames: Iterable[bytes], computed_with: str = ""
) -> bool:
    """Write a chunk's encoded frames and mark it done, in the caller's transaction. Returns whether it was the last.

    Args:
        computed_with: the engine and device, for display.

    Raises:
        LeaseLost: another worker owns it now, or the run was ended; nothing may be kept.
    """
    done = move_to(
        ChunkState.DONE,
        **UNLEASED,
        frames_done=claimed.plan.frames,
        finished_at=func.clock_timestamp(),
        computed_with=computed_with,
    ).where(claimed.lease.is_held())
    return _end_chunk(connection, claimed.run_id, claimed.plan, frames, connection.execute(done).rowcount)


def quarantine_chunk(
    connection: Connection, lease: Lease, plan: ChunkPlan, frames: Iterable[bytes], reason: str
) -> bool:
    """Give a chunk up: its frames are written as missing, with the reason. Returns whether it was the run's last.

    Raises:
        LeaseLost: another worker owns it now, or the run was ended.
    """
    given_up = move_to(ChunkState.QUARANTINED, **UNLEASED, reason=reason, finished_at=func.clock_timestamp()).where(
        lease.is_held()
    )
    return _end_chunk(connection, lease.key[0], plan, frames, connection.execute(given_up).rowcount)


def _end_chunk(connection: Connection, run_id: UUID, plan: ChunkPlan, frames: Iterable[bytes], changed: int) -> bool:
    if changed != 1:
        raise LeaseLost
    connection.execute(
        delete(frame).where(
            frame.c.run_id == run_id,
            frame.c.frame >= plan.first_frame,
            frame.c.frame < plan.first_frame + plan.frames,
        )
    )
    copy_frames(connection, frames)
    # Last, because every chunk of the run waits for this row's lock.
    pending = connection.execute(
        update(run)
        .where(run.c.id == run_id, run.c.state == RunState.RUNNING)
        .values(chunks_pending=run.c.chunks_pending - 1)
        .returning(run.c.chunks_pending)
    ).scalar_one_or_none()
    if pending is None:
        raise LeaseLost
    if pending == 0:
        finishing = move_to(RunState.FINISHING, queued_at=func.clock_timestamp(), held=False, chunk_limit=None)
        connection.execute(finishing.where(run.c.id == run_id))
    return bool(pending == 0)


def count_chunks(connection: Connection, run_id: UUID) -> dict[str, int]:
    """Count a run's chunks by state."""
    rows = connection.execute(
        select(chunk.c.state, func.count()).where(chunk.c.run_id == run_id).group_by(chunk.c.state)
    )
    counts = {row.state: row[1] for row in rows}
    return {state: counts[state] for state in ChunkState if state in counts}


@dataclass(frozen=True)
class GivenUp:
    """A chunk that was quarantined, and why."""

    first_frame: int
    frames: int
    reason: str


def select_given_up(connection: Connection, run_id: UUID) -> list[GivenUp]:
    """A run's quarantined chunks, in order."""
    columns = (chunk.c.first_frame, chunk.c.frames, chunk.c.reason)
    quarantined = chunk.c.state == str(ChunkState.QUARANTINED)
    rows = connection.execute(select(*columns).where(chunk.c.run_id == run_id, quarantined).order_by(chunk.c.idx))
    return [GivenUp(row.first_frame, row.frames, row.reason) for row in rows]


def count_suspects(connection: Connection, run_id: UUID, deaths: int) -> int:
    """How many of a run's open chunks had so many deaths."""
    statement = select(func.count()).where(
        chunk.c.run_id == run_id, chunk.c.deaths >= deaths, chunk.c.state.in_([str(state) for state in OPEN])
    )
    return int(connection.execute(statement).scalar_one())


def select_plan(connection: Connection, lease: Lease) -> tuple[ChunkPlan, UUID]:
    """The plan of a leased chunk, and the id of its video."""
    row = connection.execute(
        select(chunk, run.c.video_id).join(run, run.c.id == chunk.c.run_id).where(lease.is_held())
    ).first()
    if row is None:
        raise LeaseLost
    plan = ChunkPlan(row.idx, row.first_frame, row.frames, row.start_pts, row.end_pts, row.seek_pts)
    return plan, row.video_id


def lock_chunks(connection: Connection, run_id: UUID) -> None:
    """Lock a run's open chunks, always in the same order, and before its run as a commit does."""
    open_chunks = select(chunk.c.idx).where(chunk.c.run_id == run_id, chunk.c.state.in_(OPEN)).order_by(chunk.c.idx)
    connection.execute(open_chunks.with_for_update())


def cancel_chunks(connection: Connection, run_id: UUID) -> None:
    """Cancel the chunks of a run that is being ended; workers on them find their lease gone."""
    lock_chunks(connection, run_id)
    connection.execute(move_to(ChunkState.CANCELLED, **UNLEASED).where(chunk.c.run_id == run_id))


def count_computed_with(connection: Connection, run_id: UUID) -> dict[str, int]:
    """Count a run's frames by the engine and device that computed them."""
    rows = connection.execute(
        select(chunk.c.computed_with, func.sum(chunk.c.frames))
        .where(chunk.c.run_id == run_id, chunk.c.computed_with != "")
        .group_by(chunk.c.computed_with)
        .order_by(chunk.c.computed_with)
    )
    return {row[0]: int(row[1]) for row in rows}


def select_last_error(connection: Connection, run_id: UUID) -> str | None:
    """The latest error of a chunk of the run that is still to be done."""
    last_error: str | None = connection.execute(
        select(chunk.c.last_error)
        .where(
            chunk.c.run_id == run_id,
            chunk.c.last_error.is_not(None),
            chunk.c.state.in_(OPEN),
        )
        .order_by(chunk.c.not_before.desc())
        .limit(1)
    ).scalar_one_or_none()
    return last_error
