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


def reclaim_chunks(system: System) -> None:
    """Make chunks available again whose worker died, or quarantine them."""
    _reclaim_expired(system, CHUNK_WORK)


def reclaim_videos(system: System) -> None:
    """Make videos available again whose worker died, or reject them."""
    _reclaim_expired(system, VIDEO_WORK)


def reclaim_runs(system: System) -> None:
    """Make runs available again whose worker died while finishing them, or fail them."""
    _reclaim_expired(system, RUN_WORK)


def forget_gone_workers(system: System) -> None:
    """Delete the rows of workers that were killed long ago."""
    with transaction(system.engine) as connection:
        delete_gone_workers(connection)


def _reclaim_expired(system: System, kind: WorkKind) -> None:
    """Free the work whose worker stopped renewing its lease, or give it up, in one transaction each."""
    settings = system.settings
    while True:
        to_finish: UUID | None = None
        with transaction(system.engine) as connection:
            expired = select_expired(connection, kind.name)
            if expired is None:
                return
            lease, expirations = expired[0], expired[1] + 1
            given_up = expirations >= settings.max_expirations
            if given_up:
                to_finish = kind.give_up(connection, lease, kind.expired_reason.format(count=expirations))
            else:
                reclaim(connection, lease, settings.backoff_s)
        log.warning(
            "lease_expired", kind=kind.name, key=list(map(str, lease.key)), expirations=expirations, given_up=given_up
        )
        if to_finish is not None:
            system.queue.send_finish(to_finish)
