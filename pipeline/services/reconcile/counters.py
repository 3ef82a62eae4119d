"""Recount what is counted down as chunks end, and cancel chunks that a run left open when it ended."""

from __future__ import annotations

from pipeline.db.chunk_counters import recount_pending_chunks
from pipeline.db.chunks import cancel_chunks_of_ended_runs
from pipeline.db.engine import transaction
from pipeline.logs import get_logger
from pipeline.services.system import System

log = get_logger(__name__)


def repair_counters(system: System) -> None:
    """Correct every open run's count of pending chunks."""
    with transaction(system.engine) as connection:
        for run_id in recount_pending_chunks(connection):
            log.error("pending_repaired", run=str(run_id))
    with transaction(system.engine) as connection:
        cancel_chunks_of_ended_runs(connection)
