"""Batch work gives way to live sessions on the same machine: it computes for about a fifth of the
time while any is open.

It never stops altogether, and its leases go on.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from pathlib import Path

from sqlalchemy import Engine

from pipeline.db.engine import transaction
from pipeline.db.live_processes import is_live_on
from pipeline.errors import PoselineError
from pipeline.logs import get_logger

log = get_logger(__name__)

#: Rest for every part of work.
_REST_PER_WORK = 4
#: Short against a lease, which is renewed while there is progress.
_LONGEST_REST_S = 1.0
_LOOK_EVERY_S = 1.0


@cache
def machine_id() -> str:
    """What tells this machine, since its start, from others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class LiveNeighbour:
    """Whether live sessions are open on this machine. Safe to use from every slot at once; asks once a second."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._looked_s: float | None = None
        self._is_live = False

    def rest_s(self, engine: Engine, worked_s: float) -> float:
        """For how long to rest after work that took so long: 0 where no live session needs this machine."""
        return min(_LONGEST_REST_S, _REST_PER_WORK * worked_s) if self._ask(engine) else 0.0

    def _ask(self, engine: Engine) -> bool:
        now_s = time.monotonic()
        is_due = self._looked_s is None or now_s - self._looked_s >= _LOOK_EVERY_S
        if is_due and machine_id() and self._looking.acquire(blocking=False):
            try:
                self._looked_s = now_s
                with transaction(engine) as connection:
                    self._is_live = is_live_on(connection, machine_id())
            except PoselineError as error:  # what was known a second ago will do
                log.warning("live_sessions_not_known", reason=error.message)
            finally:
                self._looking.release()
        return self._is_live
