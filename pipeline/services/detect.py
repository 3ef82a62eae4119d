"""Analyse one chunk: decode its frames, find the people in each, and commit all of them at once under the lease."""

from __future__ import annotations

import threading
from uuid import UUID

from sqlalchemy import Connection

from pipeline.db.chunks import ClaimedChunk, claim_chunk, commit_chunk, quarantine_chunk, select_plan
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameSpool, encode_frames
from pipeline.db.leases import Lease
from pipeline.db.run_ends import mark_failed
from pipeline.db.videos import select_frame_index, select_video
from pipeline.errors import BrokenModel, SourceGone
from pipeline.logs import get_logger, log_context
from pipeline.services.dispatch import dispatch
from pipeline.services.lease_heartbeat import LeaseHeartbeat
from pipeline.services.leased_work import WorkKind, leased_work
from pipeline.services.model_cache import ModelCache
from pipeline.services.pose_frames import iter_missing_rows, iter_pose_rows
from pipeline.services.system import System
from pipeline.services.teams import limits_of_ready
from pipeline.storage.blocks import ObjectSource
from pipeline.video.reader import VideoReader

log = get_logger(__name__)

#: TensorRT builds its engines for minutes, and a slow object store sends weights for as long.
LONGEST_LOAD_S = 1800


def detect_chunk(
    system: System,
    models: ModelCache,
    run_id: UUID,
    idx: int,
    worker: str,
    stopping: threading.Event | None = None,
) -> None:
    """Analyse the chunk that a message names; a stale or doubled message does nothing."""

    def claim(connection: Connection) -> ClaimedChunk | None:
        return claim_chunk(connection, run_id, idx, worker, system.settings.lease_s)

    with (
        log_context(run=str(run_id), chunk=idx),
        leased_work(system, CHUNK_WORK, claim, stopping, progress_column="frames_done") as work,
    ):
        if work is None:
            return
        with FrameSpool(run_id, idx, system.settings.scratch_path) as spool:
            computed_with = _fill(spool, system, models, work.claimed, work.heartbeat)
            with work.commit() as connection:
                is_last = commit_chunk(connection, work.claimed, spool.pieces(), computed_with)
        log.info("chunk_done", frames=spool.frames, people=spool.people)
        if is_last:
            system.queue.send_finish(run_id)
        dispatch(system)


def _fill(
    spool: FrameSpool, system: System, models: ModelCache, claimed: ClaimedChunk, heartbeat: LeaseHeartbeat
) -> str:
    """Add the poses of the chunk's frames to the spool. Returns the engine and device that computed them."""
    with transaction(system.engine) as connection:
        video = select_video(connection, claimed.video_id, team=None)
        index = system.indexes.get(connection, claimed.video_id)
    assert video.source is not None
    system.store.check_unchanged(video.source)
    limits = limits_of_ready(system, video)
    with heartbeat.assume_alive(LONGEST_LOAD_S):
        model = models.load(claimed.model_fingerprint, heartbeat.interrupted)
    first, stop = claimed.plan.first_frame, claimed.plan.first_frame + claimed.plan.frames
    reader = VideoReader(ObjectSource(system.store, video.source), index, video.size, limits)
    batch = reader.batch_within(model.spec.side_px, model.batch)
    # Frames before the chunk's own are decoded too, and may take long: a tick is a sign of work.
    frames = reader.frames(
        first, stop, model.spec.side_px, batch=batch, interrupted=heartbeat.interrupted, on_tick=heartbeat.note_alive
    )
    for row in iter_pose_rows(frames, model, index, first, stop, batch):
        spool.add(row)
        heartbeat.advance()
        heartbeat.check()
    return model.device.summary


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
    expired_reason="{count} workers died or hung on this part of the video",
)
