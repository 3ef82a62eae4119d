"""Send messages again that Redis lost."""

from __future__ import annotations

from pipeline.db.engine import transaction
from pipeline.db.fair_queue import requeue_lost_chunks, requeue_lost_videos
from pipeline.db.proxies import requeue_lost_proxies
from pipeline.db.run_ends import select_unsent_finishes
from pipeline.errors import ServiceUnavailable
from pipeline.logs import get_logger
from pipeline.queue import CONTROL, FRAMES_IN
from pipeline.services.system import System

log = get_logger(__name__)

#: A message in a queue that is not empty is sent again only when it is this many times as old.
_BUSY_QUEUE_FACTOR = 60


def resend_lost_messages(system: System) -> None:
    """Let what was sent long ago and never arrived wait again; the dispatch at the end of the tick sends it."""
    # Redis is asked first: it may take its time, and rows locked meanwhile would block workers.
    chunk_ages_s = {precision: _lost_after_s(system, queue) for precision, queue in FRAMES_IN.items()}
    control_age_s = _lost_after_s(system, CONTROL)
    with transaction(system.engine) as connection:
        chunks = sum(requeue_lost_chunks(connection, chunk_ages_s[precision], precision) for precision in FRAMES_IN)
        ingests = requeue_lost_videos(connection, control_age_s)
        finishes = select_unsent_finishes(connection, control_age_s)
        proxies = requeue_lost_proxies(connection, control_age_s)
    for run_id in finishes:
        system.queue.send_finish(run_id)
    if chunks or ingests or finishes or proxies:
        log.warning("messages_sent_again", chunks=chunks, ingests=ingests, finishes=len(finishes), proxies=proxies)


def _lost_after_s(system: System, queue: str) -> float:
    """The age at which a message counts as lost: soon in an empty queue, late in one that is being worked off."""
    resend_after_s = system.settings.resend_after_s
    try:
        return resend_after_s if system.queue.waiting(queue) == 0 else resend_after_s * _BUSY_QUEUE_FACTOR
    except ServiceUnavailable:
        return resend_after_s * _BUSY_QUEUE_FACTOR
