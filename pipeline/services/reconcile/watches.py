"""Go on with the watched buckets, a little in each tick."""

from __future__ import annotations

import time

from pipeline.db.engine import transaction
from pipeline.db.pressure import ingest_paused
from pipeline.db.watches import WatchClaim, claim_watch, release
from pipeline.errors import LeaseLost, PoselineError, in_one_line
from pipeline.logs import get_logger
from pipeline.services.capabilities import missing_capability
from pipeline.services.dispatch import dispatch_videos
from pipeline.services.system import System
from pipeline.services.watch.hints import look_at_hints, read_notifications
from pipeline.services.watch.judge import Judge, team_ids_for
from pipeline.services.watch.listing import Listing

log = get_logger(__name__)

#: Of a tick's time, and at most: whatever waits in the same worker waits for it.
_SHARE, _LONGEST_S = 0.5, 1.0
#: Pages of one watch before the next one has its turn.
_PAGES = 4


def go_on_with_watches(system: System) -> None:
    """Look at what was hinted at and list on, one watch after the other, until this tick's time is over.

    While there is no room nothing is listed. An error of the object store is written down and keeps only its watch.
    """
    read_notifications(system)
    over_s = time.monotonic() + min(_LONGEST_S, _SHARE * system.settings.tick_s)
    taken = 0
    while time.monotonic() < over_s:
        with transaction(system.engine) as connection:
            claim = None if ingest_paused(connection) else claim_watch(connection, system.settings.lease_s)
        if claim is None:
            break
        taken += _work(system, claim, over_s)
    if taken:
        dispatch_videos(system)


def _work(system: System, claim: WatchClaim, over_s: float) -> int:
    """Do one claim's part. Returns how many videos were taken in."""
    watch, error, taken = claim.watch, None, 0
    try:
        with transaction(system.engine) as connection:
            judge = Judge(watch, team_ids_for(connection, watch), system.store.bucket)
            missing = missing_capability(connection, watch.precision)
        if missing is not None:
            raise PoselineError(missing)
        taken = look_at_hints(system, claim, judge)
        listing = Listing(system, claim, judge, lambda: time.monotonic() >= over_s)
        try:
            if claim.lists:
                listing.go_on(_PAGES)
        finally:
            taken += listing.taken
    except LeaseLost:
        return taken
    except PoselineError as failed:
        error = failed.message
        log.warning("watch_waits", watch=watch.location, reason=error)
    except Exception as failed:
        error = in_one_line(failed)
        log.exception("watch_waits", watch=watch.location)
    with transaction(system.engine) as connection:
        release(connection, claim, error)
    return taken
