"""Turn chunks that wait into messages: fair between teams, and only a small window of them in Redis."""

from __future__ import annotations

from pipeline.db.chunks import queue_ready_chunks
from pipeline.db.engine import transaction
from pipeline.db.workers import select_workers
from pipeline.services.system import System


def dispatch(system: System) -> int:
    """Send what may be sent now. Safe to call from anywhere at any time. Returns how many messages went out."""
    with transaction(system.engine) as connection:
        slots = sum(worker.slots for worker in select_workers(connection))
        queued = queue_ready_chunks(connection, system.settings.window_per_slot * max(slots, 1))
    for run_id, idx in queued:
        system.queue.send_detect(run_id, idx)
    return len(queued)
