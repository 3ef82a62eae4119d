"""Send messages for what waits: fairly between teams, and only a small window of them at a time."""

from __future__ import annotations

import math

from pipeline.core.precision import PRECISIONS, Precision
from pipeline.db.engine import transaction
from pipeline.db.fair_queue import BATCH, queue_ready_chunks, queue_stored_videos
from pipeline.db.pressure import ingest_paused
from pipeline.db.proxies import queue_wanted_proxies
from pipeline.db.workers import select_workers
from pipeline.errors import ServiceUnavailable
from pipeline.queue import FRAMES_IN
from pipeline.sent_window import Seen
from pipeline.services.system import System

#: Of one call, so that none goes on for as long as chunks end.
_MOST_LOOKS = 2


def dispatch(system: System) -> int:
    """Send what may be sent now. Safe to call from anywhere at any time. Returns how many messages were sent."""
    slots = _slots(system)
    sent = sum(_dispatch_chunks(system, precision, slots[precision]) for precision in PRECISIONS)
    return sent + _dispatch_videos(system, max(slots.values())) + _dispatch_proxies(system, max(slots.values()))


def dispatch_videos(system: System) -> int:
    """Send what may be ingested now. Returns how many messages were sent."""
    return _dispatch_videos(system, max(_slots(system).values()))


def refill(system: System, precision: Precision, *, lone: bool = False) -> None:
    """Send more chunks of this precision if less than half a window waits in Redis, or if a team that may have one
    chunk under way has none.

    The end of each chunk asks, so asking costs one round trip to Redis; what is sent then is mostly half a window.

    Args:
        lone: whether that chunk's team may have one chunk under way.
    """
    try:
        seen = system.queue.note_end(precision, lone=lone)
    except ServiceUnavailable:
        return  # nothing can be sent; a tick will
    if seen.window.wants_more:
        _dispatch_chunks(system, precision, _slots(system)[precision], seen)


def _slots(system: System) -> dict[Precision, int]:
    with transaction(system.engine) as connection:
        workers = [worker for worker in select_workers(connection) if worker.draining_at is None]
    return {each: sum(worker.slots for worker in workers if each in worker.precisions) for each in PRECISIONS}


def _dispatch_chunks(system: System, precision: Precision, slots: int, seen: Seen | None = None) -> int:
    # Without any worker fp32 may wait in Redis as well as in Postgres; a precision that no worker has stays.
    if not slots and precision != PRECISIONS[0]:
        return 0
    sent, looks, window = 0, 0, system.settings.window(slots)
    while looks < _MOST_LOOKS:
        with transaction(system.engine) as connection:
            queued = queue_ready_chunks(connection, window, precision, slots)
        if queued is None:  # another process is about it, and looks again for what ended meanwhile
            break
        for one in queued:
            system.queue.send_detect(one.run_id, one.idx, precision, first=one.first)
        sent += len(queued)
        if len(queued) == BATCH:
            continue
        looks += 1
        seen = system.queue.note_filled(precision, window, seen)
        if seen is None or not seen.window.keeps_one_idle:
            break
    return sent


def _dispatch_videos(system: System, slots: int) -> int:
    """Videos come before chunks on a worker, so as many are under way as their share of the slots while chunks wait."""
    settings = system.settings
    most = math.ceil(settings.ingest_share * max(slots, 1)) if _chunks_wait(system) else settings.window(slots) + slots
    with transaction(system.engine) as connection:
        queued = queue_stored_videos(connection, most) if ingest_paused(connection) is None else []
    for video_id in queued:
        system.queue.send_ingest(video_id)
    return len(queued)


def _dispatch_proxies(system: System, slots: int) -> int:
    """They take minutes and come before chunks on a worker, so few are under way: the share of ingest once more."""
    with transaction(system.engine) as connection:
        queued = queue_wanted_proxies(connection, math.ceil(system.settings.ingest_share * max(slots, 1)))
    for video_id in queued:
        system.queue.send_proxy(video_id)
    return len(queued)


def _chunks_wait(system: System) -> bool:
    try:
        return any(system.queue.waiting(queue) for queue in FRAMES_IN.values())
    except ServiceUnavailable:
        return True
