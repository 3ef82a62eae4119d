"""Recount what is counted down as chunks end."""

from __future__ import annotations

from pipeline.db.chunk_counters import recount_pending_chunks
from pipeline.db.engine import transaction
from pipeline.logs import get_logger
from pipeline.services.system import System

log = get_logger(__name__)

#: The counts are changed in the transactions that end chunks, so few need be looked at in each tick.
_LOOKED_AT = 25


def repair_counters(system: System) -> None:
    """Correct the counts of pending chunks of some of the running runs."""
    with transaction(system.engine) as connection:
        for run_id in recount_pending_chunks(connection, _LOOKED_AT):
            log.error("pending_repaired", run=str(run_id))
