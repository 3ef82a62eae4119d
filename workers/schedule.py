"""Beat's scheduler: Celery's own, which also sends an event for each tick.

Ticks send no task events, so that Flower shows only work; the health check listens for this event.
"""

from __future__ import annotations

import socket
from typing import Any

from celery.beat import Scheduler

from pipeline.queue import TICKED


class TickScheduler(Scheduler):
    """Keeps its schedule in memory: a tick that was missed is made up for by the next."""

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Send one tick, then its event."""
        sent = super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        with self.app.events.default_dispatcher(hostname=f"beat@{socket.gethostname()}") as dispatcher:
            dispatcher.send(TICKED)
        return sent
