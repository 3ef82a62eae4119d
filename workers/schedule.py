"""Beat's clock: Celery's own, which also says aloud that it ticked.

Ticks themselves send no task events, so that Flower shows the work and not the clock; a probe listens for this one.
"""

from __future__ import annotations

import socket
from typing import Any

from celery.beat import Scheduler

from pipeline.queue import TICKED


class TickScheduler(Scheduler):
    """Keeps its times in memory: a tick that was missed is made up for by the next."""

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Send one tick, then the event that says so."""
        sent = super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        with self.app.events.default_dispatcher(hostname=f"beat@{socket.gethostname()}") as dispatcher:
            dispatcher.send(TICKED)
        return sent
