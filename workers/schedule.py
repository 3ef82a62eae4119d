"""Beat's scheduler: Celery's own, which also sends an event and leaves a report for each tick.

Ticks send no task events, so that Flower shows only work; the containers' health check listens for this event. The
report tells `poseline doctor` and `status` that a beat is running.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from celery.beat import Scheduler

from pipeline.core.beat_report import BeatReport, alive_after_tick_s
from pipeline.errors import ServiceUnavailable
from pipeline.logs import get_logger
from pipeline.queue import TICKED, TaskQueue

log = get_logger(__name__)


class TickScheduler(Scheduler):
    """Keeps its schedule in memory: a tick that was missed is made up for by the next."""

    def setup_schedule(self) -> None:
        """Make the schedule, and report once before the first tick is due."""
        super().setup_schedule()
        self._queue = TaskQueue(self.app, str(self.app.conf.broker_url))
        self._report()

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Send one tick, then its event and the report."""
        sent = super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        with self.app.events.default_dispatcher(hostname=f"beat@{socket.gethostname()}") as dispatcher:
            dispatcher.send(TICKED)
        self._report()
        return sent

    def _report(self) -> None:
        tick_s = float(self.app.conf.beat_schedule["tick"]["schedule"])
        try:
            self._queue.report_beat(BeatReport(socket.gethostname(), os.getpid(), alive_after_tick_s(tick_s)))
        except ServiceUnavailable as error:
            log.warning("beat_not_reported", reason=error.message)
