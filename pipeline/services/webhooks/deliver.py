"""Tell webhooks what they are to be told. Each delivery is made at least once, and given up after about a day."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from pipeline.core.webhook_signature import signature_of
from pipeline.db.engine import transaction
from pipeline.db.runs import select_run
from pipeline.db.webhooks import (
    Claimed,
    claim_deliveries,
    find_deliveries,
    forget_deliveries,
    note_delivered,
    note_undelivered,
)
from pipeline.errors import NotFound, PoselineError
from pipeline.logs import get_logger
from pipeline.services.runs import to_dict
from pipeline.services.system import System
from pipeline.services.webhooks.target import send

log = get_logger(__name__)

#: Seconds until the next attempt, after the first, the second, …
BACKOFF_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 3 * 3600.0, 6 * 3600.0, 12 * 3600.0)
_AT_ONCE = 8
#: Nobody else makes an attempt meanwhile; longer than one can take.
_LEASE_S = 60.0
_KEEP_S = 30 * 86_400.0
_EVERY_S = 2.0


def deliver_due(system: System) -> int:
    """Find what webhooks are to be told, and make the attempts that are due, one for each webhook. Returns how many."""
    with transaction(system.engine) as connection:
        find_deliveries(connection)
        claimed = claim_deliveries(connection, _AT_ONCE, _LEASE_S)
    if claimed:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhook") as pool:
            list(pool.map(lambda one: _deliver(system, one), claimed))
    return len(claimed)


def run_deliveries(system: System, stopping: threading.Event) -> None:
    """Deliver until `stopping` is set: what a process does beside its other work."""
    forgot_at = float("-inf")
    while not stopping.is_set():
        made = 0
        try:
            made = deliver_due(system)
            if time.monotonic() - forgot_at > 3600:
                with transaction(system.engine) as connection:
                    forget_deliveries(connection, _KEEP_S)
                forgot_at = time.monotonic()
        except PoselineError as error:  # such as Postgres that restarts
            log.warning("webhooks_wait", reason=error.message)
        except Exception as error:
            log.error("webhooks_wait", exc_info=error)
        if not made:
            stopping.wait(_EVERY_S)


def _deliver(system: System, claimed: Claimed) -> None:
    try:
        with transaction(system.engine) as connection:
            run = to_dict(select_run(connection, claimed.run_id, team=claimed.team))
    except NotFound:  # it was erased; so is its delivery
        return
    body = json.dumps({"event": claimed.event, "delivery_id": str(claimed.id), "run": run}, default=str).encode()
    now = int(time.time())
    headers = {
        "Poseline-Event": claimed.event,
        "Poseline-Delivery": str(claimed.id),
        "Poseline-Timestamp": str(now),
        "Poseline-Signature": signature_of(claimed.secret, now, body),
    }
    taken, answer = send(claimed.url, body, headers, private=system.settings.webhook_private)
    with transaction(system.engine) as connection:
        if taken:
            note_delivered(connection, claimed.id, answer)
        else:
            tries = claimed.attempts
            note_undelivered(connection, claimed, answer, BACKOFF_S[tries - 1] if tries <= len(BACKOFF_S) else None)
    log.info("webhook", delivery=str(claimed.id), delivered=taken, answer=answer)
