"""How a run ends: finished under a lease, failed, or cancelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, update

from pipeline.core.states import RunState, sources
from pipeline.db.chunks import cancel_chunks, lock_chunks
from pipeline.db.leases import UNLEASED, Lease, after, lease_values, require_held
from pipeline.db.runs import insert_run
from pipeline.db.tables import run
from pipeline.db.transitions import move_to
from pipeline.errors import LeaseLost


def claim_finish(connection: Connection, run_id: UUID, worker: str, lease_s: float) -> Lease | None:
    """Claim a run to finish it; None where the message is stale."""
    row = connection.execute(
        update(run)
        .where(
            run.c.id == run_id,
            run.c.state == RunState.FINISHING,
            run.c.lease_token.is_(None),
            run.c.not_before <= func.clock_timestamp(),
        )
        .values(**lease_values(worker, lease_s, run))
        .returning(run.c.lease_token, run.c.errors, run.c.expirations, run.c.deaths)
    ).first()
    if row is None:
        return None
    return Lease("run", (run_id,), row.lease_token, row.errors, row.expirations, row.deaths, worker)


def mark_done(connection: Connection, lease: Lease, summary: Mapping[str, Any]) -> None:
    """Mark a run done. Whether it becomes its video's current run is settled in the same transaction
    (`services.settle`).

    Raises:
        LeaseLost: somebody else finishes it now.
    """
    statement = move_to(RunState.DONE, **UNLEASED, summary=dict(summary), finished_at=func.clock_timestamp()).where(
        lease.is_held()
    )
    if connection.execute(statement).rowcount != 1:
        raise LeaseLost


def mark_failed(connection: Connection, lease: Lease, reason: str, summary: Mapping[str, Any] | None = None) -> None:
    """End a run without results, by the worker that holds its lease or the lease of one of its chunks.

    Raises:
        LeaseLost: somebody else owns it now, or the run was ended before.
    """
    lock_chunks(connection, lease.id)
    require_held(connection, lease)
    if not _end_run(connection, lease.id, RunState.FAILED, reason, summary):
        raise LeaseLost


def end_waiting_runs(connection: Connection, video_id: UUID, state: RunState, reason: str) -> None:
    """End the runs that wait for a video: failed where it was rejected, cancelled where it is another one again."""
    ended = move_to(state, reason=reason, finished_at=func.clock_timestamp())
    connection.execute(ended.where(run.c.video_id == video_id))


def insert_failed_run(connection: Connection, video_id: UUID, model_fingerprint: str, reason: str) -> UUID:
    """Insert the run that was requested for a video that is rejected, as failed. Returns its id.

    The same request again gives the same run, with the time of this one.
    """
    now = func.clock_timestamp()
    renewed: UUID | None = connection.execute(
        update(run)
        .where(
            run.c.video_id == video_id,
            run.c.model_fingerprint == model_fingerprint,
            run.c.state == RunState.FAILED,
            run.c.reason == reason,
        )
        .values(created_at=now, finished_at=now)
        .returning(run.c.id)
    ).scalar_one_or_none()
    if renewed is not None:
        return renewed
    run_id, _ = insert_run(connection, video_id, model_fingerprint)
    end_waiting_runs(connection, video_id, RunState.FAILED, reason)
    return run_id


def set_export_key(connection: Connection, lease: Lease, key: str) -> None:
    """Note where a run's export is about to be stored, so that it can be removed if the run ends without results.

    Raises:
        LeaseLost: somebody else owns the run now.
    """
    if connection.execute(update(run).where(lease.is_held()).values(export_key=key)).rowcount != 1:
        raise LeaseLost


def select_orphaned_exports(connection: Connection, older_than_s: float) -> list[tuple[UUID, str]]:
    """Runs that ended without results that long ago and may have left an export: id and object key."""
    ended = [str(state) for state in (RunState.FAILED, RunState.CANCELLED)]
    rows = connection.execute(
        select(run.c.id, run.c.export_key).where(
            run.c.state.in_(ended), run.c.export_key.is_not(None), run.c.finished_at < after(-older_than_s)
        )
    )
    return [(row.id, row.export_key) for row in rows]


def mark_export_removed(connection: Connection, run_id: UUID) -> None:
    """Note that a run has no export any more."""
    connection.execute(update(run).where(run.c.id == run_id).values(export_key=None))


def _end_run(
    connection: Connection, run_id: UUID, state: RunState, reason: str, summary: Mapping[str, Any] | None = None
) -> bool:
    """End a run without results. Returns whether it was open; a run that had ended before is left as it is."""
    # A run that waits is locked first, so that it gets no chunks meanwhile; any other is locked after its chunks, as by
    # a commit.
    connection.execute(select(run.c.id).where(run.c.id == run_id, run.c.state == RunState.WAITING).with_for_update())
    is_open = select(run.c.id).where(run.c.id == run_id, run.c.state.in_([str(each) for each in sources(state)]))
    if connection.execute(is_open).first() is None:
        return False
    cancel_chunks(connection, run_id)
    ended = move_to(
        state,
        **UNLEASED,
        reason=reason,
        held=False,
        summary=None if summary is None else dict(summary),
        finished_at=func.clock_timestamp(),
    )
    return connection.execute(ended.where(run.c.id == run_id)).rowcount == 1


def mark_cancelled(connection: Connection, run_id: UUID) -> bool:
    """End a run and its chunks on request. Returns whether it was open."""
    return _end_run(connection, run_id, RunState.CANCELLED, "cancelled")


def select_unsent_finishes(connection: Connection, older_than_s: float) -> Sequence[UUID]:
    """Runs to be finished that no worker holds and whose message is old; they are marked as sent again."""
    return (
        connection.execute(
            update(run)
            .where(
                run.c.state == RunState.FINISHING,
                run.c.lease_token.is_(None),
                run.c.not_before <= func.clock_timestamp(),
                func.coalesce(run.c.queued_at, run.c.not_before) < after(-older_than_s),
            )
            .values(queued_at=func.clock_timestamp())
            .returning(run.c.id)
        )
        .scalars()
        .all()
    )
