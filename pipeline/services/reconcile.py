"""Put right what a dead worker, a lost message or an emptied Redis left behind. Safe to run anywhere, any time."""

from __future__ import annotations

from pipeline.db.chunks import (
    reclaim_chunk,
    requeue_lost_chunks,
    select_expired_chunk,
)
from pipeline.db.engine import transaction
from pipeline.db.leases import reclaim_expired
from pipeline.db.repairs import repair_pending
from pipeline.db.runs import mark_failed, select_unsent_finishes
from pipeline.db.uploads import mark_object_gone, select_abandoned_uploads, select_rejected_objects
from pipeline.db.videos import mark_rejected, select_unsent_ingests
from pipeline.db.workers import delete_gone_workers
from pipeline.errors import ServiceUnavailable
from pipeline.logs import get_logger
from pipeline.queue import CONTROL, FRAMES_IN
from pipeline.services.detect import give_up
from pipeline.services.dispatch import dispatch
from pipeline.services.plan import plan_runs
from pipeline.services.system import System
from pipeline.services.upload import forget_upload

log = get_logger(__name__)

#: Even in a queue that is not empty, a message this many times the usual patience old is sent again.
_PATIENCE = 60


def tick(system: System) -> None:
    """One beat: put things right, then dispatch. A step that fails does not keep the others from being done."""
    for step in (_take_back_chunks, _take_back_videos_and_runs, _plan, _repair, _resend, _sweep, dispatch):
        try:
            step(system)
        except ServiceUnavailable as error:
            log.warning("tick_step_failed", step=step.__name__, reason=error.message)
        except Exception:
            log.exception("tick_step_failed", step=step.__name__)


def _take_back_chunks(system: System) -> None:
    while _take_back_one(system):
        pass


def _take_back_one(system: System) -> bool:
    """One transaction a chunk, so that one that cannot be handled does not hold the rest."""
    settings = system.settings
    with transaction(system.engine) as connection:
        lapsed = select_expired_chunk(connection)
        if lapsed is None:
            return False
        claimed, expirations = lapsed
        facts = {"run": str(claimed.run_id), "chunk": claimed.plan.idx, "expirations": expirations + 1}
        if expirations + 1 < settings.max_expirations:
            reclaim_chunk(connection, claimed.lease, settings.backoff_s)
            log.warning("chunk_taken_back", **facts)
            return True
        reason = f"{expirations + 1} workers died or hung on this part of the video"
        last = give_up(connection, claimed, reason)
    log.error("chunk_quarantined", reason=reason, **facts)
    if last:
        system.queue.send_finish(claimed.run_id)
    return True


def _take_back_videos_and_runs(system: System) -> None:
    settings = system.settings
    with transaction(system.engine) as connection:
        for video_id, expirations in reclaim_expired(connection, "video", settings.backoff_s):
            if expirations >= settings.max_expirations:
                mark_rejected(connection, video_id, f"{expirations} workers died or hung while reading it")
        for run_id, expirations in reclaim_expired(connection, "run", settings.backoff_s):
            if expirations >= settings.max_expirations:
                mark_failed(connection, run_id, f"{expirations} workers died or hung while finishing it")
        delete_gone_workers(connection)


def _plan(system: System) -> None:
    planned = 1
    while planned:
        with transaction(system.engine) as connection:
            planned = plan_runs(connection, system.settings, limit=1)


def _repair(system: System) -> None:
    with transaction(system.engine) as connection:
        for run_id in repair_pending(connection):
            log.error("pending_repaired", run=str(run_id))


def _resend(system: System) -> None:
    patience_s = system.settings.resend_after_s
    # Redis is asked first: it may take its time, and rows that are locked meanwhile would be waited for.
    ages_s = {precision: _age(system, queue, patience_s) for precision, queue in FRAMES_IN.items()}
    age_s = _age(system, CONTROL, patience_s)
    with transaction(system.engine) as connection:
        lost = sum(requeue_lost_chunks(connection, ages_s[precision], precision) for precision in FRAMES_IN)
        ingests = select_unsent_ingests(connection, age_s)
        finishes = select_unsent_finishes(connection, age_s)
    for video_id in ingests:
        system.queue.send_ingest(video_id)
    for run_id in finishes:
        system.queue.send_finish(run_id)
    if lost or ingests or finishes:
        log.warning("messages_sent_again", chunks=lost, ingests=len(ingests), finishes=len(finishes))


def _sweep(system: System) -> None:
    """Remove what a client that died in mid-upload left, and objects of our own that were rejected long ago."""
    with transaction(system.engine) as connection:
        abandoned = select_abandoned_uploads(connection, system.settings.upload_expiry_s)
        rejected = select_rejected_objects(connection, system.settings.rejected_keep_s)
    for video_id, key in abandoned:
        forget_upload(system, video_id, key)
        log.warning("upload_removed", video=str(video_id), reason="it was never completed")
    for video_id, key in rejected:
        system.store.delete(key)
        with transaction(system.engine) as connection:
            mark_object_gone(connection, video_id)


def _age(system: System, queue: str, patience_s: float) -> float:
    """How old a message must be to count as lost: soon in an empty queue, late in one that is being worked off."""
    try:
        return patience_s if system.queue.waiting(queue) == 0 else patience_s * _PATIENCE
    except ServiceUnavailable:
        return patience_s * _PATIENCE
