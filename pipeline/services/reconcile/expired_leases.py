"""Free the work of workers that stopped renewing their leases, and forget workers that are gone."""

from __future__ import annotations

from uuid import UUID

from pipeline.db.engine import transaction
from pipeline.db.leases import reclaim, select_expired
from pipeline.db.workers import delete_gone_workers
from pipeline.logs import get_logger
from pipeline.services.detect import CHUNK_WORK
from pipeline.services.finish import RUN_WORK
from pipeline.services.ingest import VIDEO_WORK
from pipeline.services.leased_work import WorkKind
from pipeline.services.system import System

log = get_logger(__name__)


def reclaim_leases(system: System) -> None:
    """Make expired work available again, or give it up."""
    for kind in (CHUNK_WORK, VIDEO_WORK, RUN_WORK):
        _reclaim_expired(system, kind)
    with transaction(system.engine) as connection:
        delete_gone_workers(connection)


def _reclaim_expired(system: System, kind: WorkKind) -> int:
    """Free the work whose worker stopped renewing its lease, or give it up. Returns how many there were.

    One transaction each, so that one that cannot be handled does not hold the others.
    """
    settings, count = system.settings, 0
    while True:
        to_finish: UUID | None = None
        with transaction(system.engine) as connection:
            expired = select_expired(connection, kind.name)
            if expired is None:
                return count
            lease, expirations = expired[0], expired[1] + 1
            given_up = expirations >= settings.max_expirations
            if given_up:
                to_finish = kind.give_up(connection, lease, kind.expired_reason.format(count=expirations))
            else:
                reclaim(connection, lease, settings.backoff_s)
        count += 1
        log.warning(
            "lease_expired", kind=kind.name, key=list(map(str, lease.key)), expirations=expirations, given_up=given_up
        )
        if to_finish is not None:
            system.queue.send_finish(to_finish)
