"""Analyse one chunk: decode its frames, find the people in each, commit them all at once under the lease."""

from __future__ import annotations

import threading
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.poses import FramePoses
from pipeline.core.spans import Int64s
from pipeline.db.chunks import ClaimedChunk, claim_chunk, commit_chunk, quarantine_chunk
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow
from pipeline.db.leases import hand_back
from pipeline.db.runs import mark_failed
from pipeline.db.videos import select_frame_index, select_video
from pipeline.errors import LeaseLost, SourceGone, Stopping, in_one_line, is_outage
from pipeline.inference.rtmo import RtmoModel
from pipeline.logs import bind, get_logger
from pipeline.services.dispatch import dispatch
from pipeline.services.keep import keep_lease
from pipeline.services.models import ModelCache
from pipeline.services.system import System
from pipeline.storage.objects import ObjectSource
from pipeline.video.sandbox import iter_frames

log = get_logger(__name__)

NO_FRAME = "the decoder gave no frame"


def detect_chunk(
    system: System,
    models: ModelCache,
    run_id: UUID,
    idx: int,
    worker: str,
    stopping: threading.Event | None = None,
) -> None:
    """Do what a message says, if it still holds: a stale or doubled message does nothing."""
    with bind(run=str(run_id), chunk=idx):
        with transaction(system.engine) as connection:
            claimed = claim_chunk(connection, run_id, idx, worker, system.settings.lease_s)
            if claimed is None:
                log.info("chunk_message_stale")
                return
        try:
            rows = _analyse(system, models, claimed, stopping)
            with transaction(system.engine) as connection:
                last = commit_chunk(connection, claimed, rows)
        except LeaseLost:
            log.warning("chunk_lease_lost")
            return
        except Stopping:
            with transaction(system.engine) as connection:
                hand_back(connection, claimed.lease)
            log.info("chunk_handed_back")
            return
        except SourceGone as error:
            with transaction(system.engine) as connection:
                mark_failed(connection, run_id, error.message)
            log.warning("run_failed", reason=error.message)
            raise
        except Exception as error:
            count_error(system, claimed, error)
            raise
        log.info("chunk_done", frames=len(rows), people=sum(len(row.poses) for row in rows))
    if last:
        system.queue.send_finish(run_id)
    dispatch(system)


def _analyse(
    system: System,
    models: ModelCache,
    claimed: ClaimedChunk,
    stopping: threading.Event | None,
) -> list[FrameRow]:
    with transaction(system.engine) as connection:
        video = select_video(connection, claimed.video_id)
        wanted_pts = chunk_pts(connection, claimed)
    assert video.source is not None
    found: dict[int, FramePoses] = {}
    with keep_lease(
        system, claimed.lease, progress=lambda: len(found), column="frames_done", stopping=stopping
    ) as keeper:
        model: RtmoModel = models.load(claimed.model_fingerprint)
        frames = iter_frames(
            ObjectSource(system.store, video.source),
            wanted_pts=wanted_pts,
            seek_pts=claimed.plan.seek_pts,
            limits=system.limits,
            side=model.spec.input_side_px,
            interrupted=keeper.interrupted,
        )
        for frame in frames:
            found[frame.pts] = model.detect(frame.image[None], [frame.scale])[0]
            keeper.check()
    return [
        FrameRow(claimed.plan.first_frame + i, pts, found[pts])
        if pts in found
        else FrameRow(claimed.plan.first_frame + i, pts, FramePoses.nobody(), NO_FRAME)
        for i, pts in enumerate(wanted_pts.tolist())
    ]


def chunk_pts(connection: Connection, claimed: ClaimedChunk) -> Int64s:
    """The ledger's part that the chunk has to fill: int64 `(frames,)`."""
    first = claimed.plan.first_frame
    return select_frame_index(connection, claimed.video_id).pts[first : first + claimed.plan.frames]


def count_error(system: System, claimed: ClaimedChunk, error: Exception) -> None:
    """Note a failed attempt; one too many of the chunk's own, and its frames stay in the ledger as missing."""
    settings, reason, outage = system.settings, in_one_line(error), is_outage(error)
    log.warning("chunk_failed", reason=reason, errors=claimed.errors + (not outage), outage=outage)
    last = False
    try:
        with transaction(system.engine) as connection:
            if outage or claimed.errors + 1 < settings.max_errors:
                hand_back(connection, claimed.lease, error=reason, backoff_s=settings.backoff_s, outage=outage)
            else:
                last = give_up(connection, claimed, reason)
    except LeaseLost:
        return
    if last:
        system.queue.send_finish(claimed.run_id)


def give_up(connection: Connection, claimed: ClaimedChunk, reason: str) -> bool:
    """Quarantine a chunk, its frames named in the ledger as missing. Returns whether it was the run's last.

    Raises:
        LeaseLost: another worker owns it now, or the run was ended.
    """
    rows = [
        FrameRow(claimed.plan.first_frame + i, pts, FramePoses.nobody(), reason)
        for i, pts in enumerate(chunk_pts(connection, claimed).tolist())
    ]
    return quarantine_chunk(connection, claimed.lease, claimed.plan, rows, reason)
