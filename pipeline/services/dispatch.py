"""Send messages for chunks that wait: fairly between teams, and only a small window of them at a time."""

from __future__ import annotations

from pipeline.core.precision import PRECISIONS
from pipeline.db.engine import transaction
from pipeline.db.fair_queue import queue_ready_chunks
from pipeline.db.workers import select_workers
from pipeline.services.system import System


def dispatch(system: System) -> int:
    """Send what may be sent now. Safe to call from anywhere at any time. Returns how many messages were sent."""
    sent = 0
    with transaction(system.engine) as connection:
        workers = select_workers(connection)
    for precision in PRECISIONS:
        slots = sum(worker.slots for worker in workers if precision in worker.precisions)
        # Without any worker fp32 may wait in Redis as well as in Postgres; a precision that no worker has stays.
        if slots or precision == PRECISIONS[0]:
            with transaction(system.engine) as connection:
                queued = queue_ready_chunks(connection, system.settings.window_per_slot * max(slots, 1), precision)
            for run_id, idx in queued:
                system.queue.send_detect(run_id, idx, precision)
            sent += len(queued)
    return sent
