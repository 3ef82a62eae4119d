"""Renew a lease while the work under it makes progress.

Work that stands still is not renewed for: a hung decoder or device would hold its row for ever. When the lease is lost
or the process shuts down, `interrupted` is set and the work stops.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.db.engine import transaction
from pipeline.db.leases import Lease, renew_lease
from pipeline.errors import LeaseLost, ServiceUnavailable, Stopping
from pipeline.logs import get_logger
from pipeline.services.system import System

log = get_logger(__name__)


class LeaseHeartbeat:
    """A thread that renews one lease every `settings.heartbeat_s`.

    Args:
        stopping: set when this process shuts down.
        column: where progress is written with each renewal, if anywhere.
    """

    def __init__(
        self, system: System, lease: Lease, stopping: threading.Event | None = None, *, column: str | None = None
    ) -> None:
        #: Set when there is no point in going on; `check` says why.
        self.interrupted = threading.Event()
        self.lost = False
        self._system, self._lease, self._column = system, lease, column
        self._stopping = stopping
        self._progress = 0
        self._signs = 0
        self._alive_until_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_over, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no longer."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def restarted(self) -> LeaseHeartbeat:
        """Another one of the same lease, started, after this one was stopped."""
        again = LeaseHeartbeat(self._system, self._lease, self._stopping, column=self._column)
        again._progress = self._progress
        again.start()
        return again

    def advance(self, amount: int = 1) -> None:
        """Count progress: frames, or bytes. Callers in several threads may lose a count; that it moves is enough."""
        self._progress += amount
        self._signs += 1

    def note_alive(self) -> None:
        """Note that the work goes on although nothing was finished."""
        self._signs += 1

    @contextmanager
    def assume_alive(self, at_most_s: float) -> Iterator[None]:
        """Renew through work that shows no progress, such as loading a model, but not for ever."""
        self._alive_until_s = time.monotonic() + at_most_s
        yield
        self._alive_until_s = 0.0
        self.note_alive()

    def check(self) -> None:
        """Break off where there is no point in going on.

        Raises:
            LeaseLost: another worker owns the row now, or the run was ended.
            Stopping: this process is shutting down.
        """
        if self.lost:
            raise LeaseLost
        if self._stopping is not None and self._stopping.is_set():
            raise Stopping

    def _renew_until_over(self) -> None:
        settings = self._system.settings
        seen = -1
        moved_at_s = renewed_at_s = time.monotonic()
        while not self._over.wait(settings.heartbeat_s):
            if self._stopping is not None and self._stopping.is_set():
                self.interrupted.set()
            now_s = time.monotonic()
            if self._signs != seen or now_s < self._alive_until_s:
                seen, moved_at_s = self._signs, now_s
            if now_s - moved_at_s > settings.stall_s:
                log.warning("lease_not_renewed", reason="no progress", kind=self._lease.kind)
                # Once it has run out, the row is another worker's, and this slot is needed.
                self.lost = now_s - renewed_at_s > settings.lease_s
            elif self._renew():
                renewed_at_s = time.monotonic()
            else:
                # Twice over, another worker has it; Postgres would refuse the commit in any case.
                self.lost = self.lost or time.monotonic() - renewed_at_s > 2 * settings.lease_s
            if self.lost:
                self.interrupted.set()
                return

    def _renew(self) -> bool:
        """Whether the lease was renewed; `lost` is set where it is gone."""
        progress = {self._column: self._progress} if self._column else {}
        try:
            with transaction(self._system.engine) as connection:
                renew_lease(connection, self._lease, self._system.settings.lease_s, **progress)
        except LeaseLost:
            self.lost = True
        except ServiceUnavailable as error:
            log.warning("lease_not_renewed", reason=error.message, kind=self._lease.kind)
        except Exception:
            log.exception("lease_not_renewed", kind=self._lease.kind)
        else:
            return True
        return False
