"""Analyse one chunk: decode its frames, find the people in each, and commit all of them at once under the lease."""

from __future__ import annotations

import random
import threading
from contextlib import ExitStack
from uuid import UUID

from sqlalchemy import Connection

from pipeline.db.chunks import ClaimedChunk, claim_chunk, commit_chunk, quarantine_chunk, select_plan
from pipeline.db.frames import FrameSpool, encode_frames
from pipeline.db.leases import Lease, release
from pipeline.db.run_ends import mark_failed
from pipeline.db.videos import select_frame_index
from pipeline.errors import BrokenModel, DeviceUnavailable, SourceGone
from pipeline.logs import get_logger, log_context
from pipeline.services.chunk_poses import find_poses
from pipeline.services.dispatch import refill
from pipeline.services.leased_work import LeasedWork, WorkKind, leased_work
from pipeline.services.live.fetch import fetch_live_poses
from pipeline.services.model_cache import ModelCache
from pipeline.services.pose_frames import iter_missing_rows
from pipeline.services.suspects import is_suspect
from pipeline.services.system import System
from pipeline.services.trial import try_alone
from pipeline.settings import Settings

log = get_logger(__name__)


def detect_chunk(
    system: System,
    models: ModelCache,
    run_id: UUID,
    idx: int,
    worker: str,
    stopping: threading.Event | None = None,
) -> None:
    """Analyse the chunk that a message names; a stale or doubled message does nothing.

    A suspect is tried alone, one at a time in each worker: the others are put off for a moment.
    """
    settings = system.settings

    def claim(connection: Connection) -> ClaimedChunk | None:
        claimed = claim_chunk(connection, run_id, idx, worker, settings.lease_s)
        if claimed is None or not _needs_turn(claimed, settings) or _has_turn(models, trial):
            return claimed
        release(connection, claimed.lease, delay_s=settings.backoff_s * random.uniform(1, 3))  # noqa: S311
        return None

    with (
        log_context(run=str(run_id), chunk=idx),
        ExitStack() as trial,
        leased_work(system, CHUNK_WORK, claim, stopping, progress_column="frames_done") as work,
    ):
        if work is None:
            return
        with FrameSpool(run_id, idx, settings.scratch_path) as spool:
            computed_with = _fill(spool, system, models, work)
            with work.commit() as connection:
                is_last = commit_chunk(connection, work.claimed, spool.pieces(), computed_with)
        log.info("chunk_done", frames=spool.frames, people=spool.people)
        if is_last:
            system.queue.send_finish(run_id)
        refill(system, work.claimed.precision, lone=work.claimed.lone)


def _fill(spool: FrameSpool, system: System, models: ModelCache, work: LeasedWork[ClaimedChunk]) -> str:
    if work.claimed.live is not None:
        return fetch_live_poses(spool, system, work.claimed, work.claimed.live, work.heartbeat)
    if _needs_turn(work.claimed, system.settings):
        try:
            return try_alone(spool, system, models.placement, work.claimed, work.heartbeat)
        except DeviceUnavailable as error:  # such as a GPU without room for the model a second time
            log.warning("trial_not_possible", reason=error.message)
    return find_poses(spool, system, models, work.claimed, work.heartbeat)


def _needs_turn(claimed: ClaimedChunk, settings: Settings) -> bool:
    """Whether a chunk is tried alone. One whose poses are there already computes nothing that could crash."""
    return claimed.live is None and is_suspect(claimed.lease, settings)


def _has_turn(models: ModelCache, until: ExitStack) -> bool:
    """Whether a trial may begin in this process; if so, no other may until `until` ends."""
    if not models.trial_turn.acquire(blocking=False):
        return False
    until.callback(models.trial_turn.release)
    return True


def _fail_run(connection: Connection, lease: Lease, reason: str) -> None:
    """End the run of a chunk that nobody can analyse."""
    mark_failed(connection, lease, reason)


def give_up_chunk(connection: Connection, lease: Lease, reason: str) -> UUID | None:
    """Quarantine a chunk: its frames are written as missing. Returns the run if this was its last chunk.

    Raises:
        LeaseLost: another worker owns it now, or the run was ended.
    """
    plan, video_id = select_plan(connection, lease)
    rows = iter_missing_rows(
        select_frame_index(connection, video_id), plan.first_frame, plan.first_frame + plan.frames, reason
    )
    is_last = quarantine_chunk(connection, lease, plan, encode_frames(lease.id, plan.idx, rows), reason)
    return lease.id if is_last else None


CHUNK_WORK = WorkKind(
    "chunk",
    fatal=(SourceGone, BrokenModel),
    fail=_fail_run,
    give_up=give_up_chunk,
    errors_reason="{error}",
    expired_reason=(
        "{count} attempts on this part of the video hung, or died when it was tried alone; the last one: {error}"
    ),
)
