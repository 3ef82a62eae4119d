"""Turn chunks that wait into messages: fair between teams, and only a small window of them in Redis."""

from __future__ import annotations

from pipeline.core.precision import PRECISIONS
from pipeline.db.chunks import queue_ready_chunks
from pipeline.db.engine import transaction
from pipeline.db.workers import select_workers
from pipeline.services.system import System


def dispatch(system: System) -> int:
    """Send what may be sent now. Safe to call from anywhere at any time. Returns how many messages went out."""
    sent = 0
    with transaction(system.engine) as connection:
        workers = select_workers(connection)
    for precision in PRECISIONS:
        slots = sum(worker.slots for worker in workers if precision in worker.precisions)
        # Without a worker at all fp32 may wait in Redis as well as in Postgres; what nobody here computes in stays.
        if slots or precision == PRECISIONS[0]:
            with transaction(system.engine) as connection:
                queued = queue_ready_chunks(connection, system.settings.window_per_slot * max(slots, 1), precision)
            for run_id, idx in queued:
                system.queue.send_detect(run_id, idx, precision)
            sent += len(queued)
    return sent
