"""Free the work of workers that stopped renewing their leases, and forget workers that are gone."""

from __future__ import annotations

from pipeline.db.engine import transaction
from pipeline.db.workers import delete_gone_workers
from pipeline.services.detect import CHUNK_WORK
from pipeline.services.finish import RUN_WORK
from pipeline.services.ingest import VIDEO_WORK
from pipeline.services.leased_work import reclaim_expired
from pipeline.services.system import System


def reclaim_leases(system: System) -> None:
    """Make expired work available again, or give it up."""
    for kind in (CHUNK_WORK, VIDEO_WORK, RUN_WORK):
        reclaim_expired(system, kind)
    with transaction(system.engine) as connection:
        delete_gone_workers(connection)
