"""Analyse one chunk: decode its frames, find the people in each, commit them all at once under the lease."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.frame_index import FrameIndex
from pipeline.core.poses import FramePoses
from pipeline.db.chunks import ClaimedChunk, claim_chunk, commit_chunk, quarantine_chunk
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, FrameSpool, encode_frames
from pipeline.db.leases import release
from pipeline.db.runs import mark_failed
from pipeline.db.videos import select_frame_index, select_video
from pipeline.errors import (
    BrokenModel,
    InvalidOutput,
    InvalidWeights,
    LeaseLost,
    SourceGone,
    Stopping,
    in_one_line,
    is_outage,
)
from pipeline.inference.pose_model import PoseModel
from pipeline.logs import bind, get_logger
from pipeline.services.dispatch import dispatch
from pipeline.services.lease_heartbeat import keep_lease
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from pipeline.services.team_limits import limits_of_ready
from pipeline.storage.blocks import ObjectSource
from pipeline.video.reader import Frame, batch_within, iter_frames

log = get_logger(__name__)

#: TensorRT builds its engines for minutes; a slow store sends weights for as long.
LONGEST_LOAD_S = 1800

NO_FRAME = "the decoder gave no frame: the video is damaged here; export it anew"


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
            with FrameSpool(run_id, idx, system.settings.scratch_path) as spool:
                computed_with = _analyse(system, models, claimed, spool, stopping)
                with transaction(system.engine) as connection:
                    last = commit_chunk(connection, claimed, spool.pieces(), computed_with)
        except LeaseLost:
            log.warning("chunk_lease_lost")
            return
        except Stopping:
            with transaction(system.engine) as connection:
                release(connection, claimed.lease)
            log.info("chunk_handed_back")
            return
        except (SourceGone, BrokenModel) as error:
            with transaction(system.engine) as connection:
                mark_failed(connection, run_id, error.message)
            log.warning("run_failed", reason=error.message)
            raise
        except Exception as error:
            count_error(system, claimed, error)
            raise
        log.info("chunk_done", frames=spool.frames, people=spool.people)
    if last:
        system.queue.send_finish(run_id)
    dispatch(system)


def _analyse(
    system: System,
    models: ModelCache,
    claimed: ClaimedChunk,
    spool: FrameSpool,
    stopping: threading.Event | None,
) -> str:
    """Fill the spool. Returns with what."""
    with transaction(system.engine) as connection:
        video = select_video(connection, claimed.video_id)
        index = select_frame_index(connection, claimed.video_id)
    assert video.source is not None
    system.store.check_unchanged(video.source)
    limits = limits_of_ready(system, video)
    first, stop = claimed.plan.first_frame, claimed.plan.first_frame + claimed.plan.frames
    ticks = 0
    loading = _Loading()

    def on_tick() -> None:  # frames before the chunk's own are decoded, too, and may take long
        nonlocal ticks
        ticks += 1

    with keep_lease(
        system,
        claimed.lease,
        progress=lambda: spool.frames,
        signs=lambda: spool.frames + ticks + loading.signs(),
        column="frames_done",
        stopping=stopping,
    ) as keeper:
        model = models.load(claimed.model_fingerprint, keeper.interrupted)
        loading.over()
        batch_frames = batch_within(video.size, model.spec.side_px, model.batch)
        frames = iter_frames(
            ObjectSource(system.store, video.source),
            index=index,
            first=first,
            stop=stop,
            size=video.size,
            limits=limits,
            side=model.spec.side_px,
            batch=batch_frames,
            interrupted=keeper.interrupted,
            on_tick=on_tick,
        )
        next_no = first
        while batch := list(islice(frames, batch_frames)):
            found = _detect(model, batch)
            for frame, poses in zip(batch, found, strict=True):
                _add_missing(spool, index, next_no, frame.number, NO_FRAME)
                spool.add(FrameRow(frame.number, frame.pts, poses))
                next_no = frame.number + 1
            keeper.check()
        _add_missing(spool, index, next_no, stop, NO_FRAME)
    return model.device.summary


class _Loading:
    """A model that is loaded gives no frames: its time is a sign of work, but not for ever."""

    def __init__(self) -> None:
        self._begun_at: float | None = time.monotonic()

    def signs(self) -> int:
        """Seconds, up to a bound; 0 once it is over."""
        begun_at = self._begun_at
        return 0 if begun_at is None else int(min(time.monotonic() - begun_at, LONGEST_LOAD_S))

    def over(self) -> None:
        """The model is there."""
        self._begun_at = None


def _detect(model: PoseModel, batch: Sequence[Frame]) -> list[FramePoses]:
    """
    Raises:
        InvalidOutput: the model broke off on these frames. It was sound when it was loaded, so they are at fault, and
            trying them for ever would not help.
        DeviceLost: its device broke off.
    """
    try:
        return model.detect([frame.image for frame in batch], [frame.scale for frame in batch])
    except InvalidWeights as error:
        raise InvalidOutput(error.message) from error


def _add_missing(spool: FrameSpool, index: FrameIndex, first: int, stop: int, reason: str) -> None:
    for row in missing_rows(index, first, stop, reason):
        spool.add(row)


def missing_rows(index: FrameIndex, first: int, stop: int, reason: str) -> Iterator[FrameRow]:
    """Rows for the frames `[first, stop)` that could not be had."""
    for number in range(first, stop):
        yield FrameRow(number, int(index.pts[number]), FramePoses.empty(), reason)


def count_error(system: System, claimed: ClaimedChunk, error: Exception) -> None:
    """Note a failed attempt; one too many of the chunk's own, and its frames stay in the ledger as missing."""
    settings, reason, outage = system.settings, in_one_line(error), is_outage(error)
    log.warning("chunk_failed", reason=reason, errors=claimed.errors + (not outage), outage=outage)
    last = False
    try:
        with transaction(system.engine) as connection:
            if outage or claimed.errors + 1 < settings.max_errors:
                release(connection, claimed.lease, error=reason, backoff_s=settings.backoff_s, outage=outage)
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
    first, stop = claimed.plan.first_frame, claimed.plan.first_frame + claimed.plan.frames
    rows = missing_rows(select_frame_index(connection, claimed.video_id), first, stop, reason)
    frames = encode_frames(claimed.run_id, claimed.plan.idx, rows)
    return quarantine_chunk(connection, claimed.lease, claimed.plan, frames, reason)
