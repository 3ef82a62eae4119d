"""Note which workers died, free their work and that of workers that hang, and forget workers that are gone."""

from __future__ import annotations

from uuid import UUID

from pipeline.db.engine import transaction
from pipeline.db.leases import release, select_abandoned
from pipeline.db.worker_deaths import delete_old_deaths, record_deaths, select_restarting
from pipeline.db.workers import delete_gone_workers
from pipeline.logs import get_logger
from pipeline.services.detect import CHUNK_WORK
from pipeline.services.finish import RUN_WORK
from pipeline.services.ingest import VIDEO_WORK
from pipeline.services.leased_work import WorkKind
from pipeline.services.proxy import PROXY_WORK
from pipeline.services.suspects import SUSPECT_DEATHS, gone_s, is_evidence
from pipeline.services.system import System

log = get_logger(__name__)

_HUNG = "its worker hung"
_DIED = "its worker died"


def note_dead_workers(system: System) -> None:
    """Record which workers died, before their work is freed, and forget those of long ago."""
    with transaction(system.engine) as connection:
        died = record_deaths(connection, gone_s(system.settings))
        delete_gone_workers(connection)
        delete_old_deaths(connection)
        restarting = select_restarting(connection) if died else []
    for each in died:
        log.warning("worker_died", worker=each.worker, leases=each.leases)
    for again in restarting:
        log.error("worker_dies_again_and_again", worker=again.name, deaths_in_the_last_hour=again.deaths)


def reclaim_chunks(system: System) -> None:
    """Make chunks available again whose worker died or hung, or quarantine them."""
    _reclaim_abandoned(system, CHUNK_WORK)


def reclaim_videos(system: System) -> None:
    """Make videos available again whose worker died or hung, or reject them."""
    _reclaim_abandoned(system, VIDEO_WORK)


def reclaim_runs(system: System) -> None:
    """Make runs available again whose worker died or hung while finishing them, or fail them."""
    _reclaim_abandoned(system, RUN_WORK)


def reclaim_proxies(system: System) -> None:
    """Make copies for browsers available again whose worker died or hung, or give them up."""
    _reclaim_abandoned(system, PROXY_WORK)


def _reclaim_abandoned(system: System, kind: WorkKind) -> None:
    """Free the work that nobody goes on with, or give it up, in one transaction each."""
    settings = system.settings
    while True:
        to_finish: UUID | None = None
        with transaction(system.engine) as connection:
            found = select_abandoned(
                connection,
                kind.name,
                lease_s=settings.lease_s,
                heartbeat_s=settings.heartbeat_s,
                gone_s=gone_s(settings),
                suspect_deaths=SUSPECT_DEATHS,
            )
            if found is None:
                return
            lease, error = found.lease, _HUNG if found.hung else _DIED
            counts = found.hung or is_evidence(connection, lease, settings, worker_lives=False)
            given_up = counts and lease.expirations + 1 >= settings.max_expirations
            if given_up:
                to_finish = kind.give_up(connection, lease, kind.expired_line(lease, error))
            else:
                release(
                    connection,
                    lease,
                    error=error,
                    backoff_s=settings.backoff_s,
                    counts="expiration" if counts else "death",
                )
        log.warning(
            "lease_expired",
            kind=kind.name,
            key=lease.name,
            worker=lease.worker,
            reason=error,
            deaths=lease.deaths + (not counts),
            expirations=lease.expirations + counts,
            given_up=given_up,
        )
        if to_finish is not None:
            system.queue.send_finish(to_finish)
