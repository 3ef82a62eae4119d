"""Keep a lease alive while work makes progress.

A thread renews it every heartbeat. It does not renew for work that stands still: a hung decoder or device would hold
its chunk for ever. When the lease is lost or the process shuts down, `interrupted` is set, and the work breaks off.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.db.engine import transaction
from pipeline.db.leases import Lease, renew_lease
from pipeline.errors import LeaseLost, ServiceUnavailable, Stopping
from pipeline.logs import get_logger
from pipeline.services.system import System

log = get_logger(__name__)


class LeaseHeartbeat:
    """What the work sees of its lease."""

    def __init__(self, stopping: threading.Event | None) -> None:
        self.interrupted = threading.Event()
        self.lost = False
        self._stopping = stopping

    def check(self) -> None:
        """Break off where there is no point in going on.

        Raises:
            LeaseLost: somebody else owns the row now, or the run was ended.
            Stopping: this process is shutting down.
        """
        if self.lost:
            raise LeaseLost
        if self.stopping:
            raise Stopping

    @property
    def stopping(self) -> bool:
        return self._stopping is not None and self._stopping.is_set()


@contextmanager
def keep_lease(
    system: System,
    lease: Lease,
    *,
    progress: Callable[[], int],
    signs: Callable[[], int] | None = None,
    column: str | None = None,
    stopping: threading.Event | None = None,
) -> Iterator[LeaseHeartbeat]:
    """Renew `lease` until the block ends.

    Args:
        progress: how far the work is; written to `column` where one is named.
        signs: a number that changes while the work is alive, where that is not `progress` alone.
    """
    keeper = LeaseHeartbeat(stopping)
    over = threading.Event()
    thread = threading.Thread(
        target=_renew_until,
        args=(system, lease, progress, signs or progress, column, keeper, over),
        name="lease",
        daemon=True,
    )
    thread.start()
    try:
        yield keeper
    except Stopping:
        # The decoder says Stopping for any interruption; say which it was.
        keeper.check()
        raise
    finally:
        over.set()
        thread.join()


def _renew_until(
    system: System,
    lease: Lease,
    progress: Callable[[], int],
    signs: Callable[[], int],
    column: str | None,
    keeper: LeaseHeartbeat,
    over: threading.Event,
) -> None:
    settings = system.settings
    seen, moved_at = -1, time.monotonic()
    renewed_at = time.monotonic()
    while not over.wait(settings.heartbeat_s):
        if keeper.stopping:
            keeper.interrupted.set()
        sign = signs()
        if sign != seen:
            seen, moved_at = sign, time.monotonic()
        elif time.monotonic() - moved_at > settings.stall_s:
            log.warning("lease_not_renewed", reason="no progress", kind=lease.kind)
            if time.monotonic() - renewed_at <= settings.lease_s:
                continue
            keeper.lost = True  # by now the row is somebody else's, and the slot has better to do
            keeper.interrupted.set()
            return
        try:
            with transaction(system.engine) as connection:
                renew_lease(connection, lease, settings.lease_s, **({column: progress()} if column else {}))
            renewed_at = time.monotonic()
        except LeaseLost:
            keeper.lost = True
        except ServiceUnavailable as error:
            log.warning("lease_not_renewed", reason=error.message, kind=lease.kind)
            # Twice over, somebody else has it; Postgres will refuse the commit anyway.
            keeper.lost = time.monotonic() - renewed_at > 2 * settings.lease_s
        except Exception:
            log.exception("lease_not_renewed", kind=lease.kind)
            keeper.lost = time.monotonic() - renewed_at > 2 * settings.lease_s
        if keeper.lost:
            keeper.interrupted.set()
            return
