"""One tick of beat: every sweep, a dispatch, then what may take longer."""

from __future__ import annotations

from pipeline.db.engine import transaction
from pipeline.errors import ServiceUnavailable
from pipeline.logs import get_logger
from pipeline.services.dispatch import dispatch
from pipeline.services.passes import advance_passes
from pipeline.services.pressure import watch_pressure
from pipeline.services.reconcile.counters import repair_counters
from pipeline.services.reconcile.deadlines import raise_urgent_runs
from pipeline.services.reconcile.expired_leases import (
    note_dead_workers,
    reclaim_chunks,
    reclaim_proxies,
    reclaim_runs,
    reclaim_videos,
)
from pipeline.services.reconcile.keeping import finish_erasures_begun, remove_frames_of_deleted_runs, remove_outlived
from pipeline.services.reconcile.live_sessions import end_lost_sessions
from pipeline.services.reconcile.messages import resend_lost_messages
from pipeline.services.reconcile.objects import remove_orphaned_objects
from pipeline.services.reconcile.plans import plan_ready_runs
from pipeline.services.reconcile.uploads import complete_sent_uploads, remove_abandoned_uploads
from pipeline.services.reconcile.watches import go_on_with_watches
from pipeline.services.system import System

log = get_logger(__name__)

SWEEPS = (
    note_dead_workers,
    reclaim_chunks,
    reclaim_videos,
    reclaim_runs,
    reclaim_proxies,
    plan_ready_runs,
    repair_counters,
    resend_lost_messages,
    complete_sent_uploads,
    remove_abandoned_uploads,
    remove_orphaned_objects,
    watch_pressure,
    raise_urgent_runs,
    advance_passes,
    dispatch,
    go_on_with_watches,
    remove_frames_of_deleted_runs,
    remove_outlived,
    finish_erasures_begun,
    end_lost_sessions,
)


def tick(system: System) -> None:
    """Run every sweep; one that fails does not keep the others from running, but without Postgres none can."""
    for sweep in SWEEPS:
        try:
            sweep(system)
        except ServiceUnavailable as error:
            log.warning("sweep_failed", sweep=sweep.__name__, reason=error.message)
            if not _has_postgres(system):
                return
        except Exception:
            log.exception("sweep_failed", sweep=sweep.__name__)


def _has_postgres(system: System) -> bool:
    try:
        with transaction(system.engine):
            return True
    except ServiceUnavailable:
        return False
