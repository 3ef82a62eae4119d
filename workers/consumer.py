"""Celery's consumer, which comes back to Redis at times of its own.

Celery 5.7 connects again at once, then after 2, 4, … 30 s: a thousand workers that lost the same Redis would come
together each time, and one that gets an error for each connection, as from a Redis that is full, asks without a pause.
"""

from __future__ import annotations

import random
import time
from functools import partial
from typing import Any

from celery.worker.consumer import Consumer

#: Before the first try.
_PAUSE_S = (0.2, 2.0)
#: By so much each pause between tries is longer than the one before, up to the longest.
_STEP_S, _LONGEST_S = (1.0, 3.0), (15.0, 30.0)


class PatientConsumer(Consumer):
    """Pauses of random lengths before and between its tries to reach Redis."""

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=_between(_STEP_S),
            interval_step=_between(_STEP_S),
            interval_max=_between(_LONGEST_S),
        )
        return super().ensure_connected(conn)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Pause after a connection that failed at its first use."""
        super().on_connection_error_before_connected(exc)
        time.sleep(_between(_PAUSE_S))

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Pause after a connection that was lost."""
        super().on_connection_error_after_connected(exc)
        time.sleep(_between(_PAUSE_S))


def _between(bounds: tuple[float, float]) -> float:
    return random.uniform(*bounds)  # noqa: S311
