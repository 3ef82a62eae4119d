"""Work that takes a processor for itself: one at a time in this process, so that all else is still answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import ServiceUnavailable

_turn = threading.Semaphore(1)
_WAIT_S = 20.0


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait for the turn.

    Raises:
        ServiceUnavailable: another's work takes too long.
    """
    if not _turn.acquire(timeout=_WAIT_S):
        raise ServiceUnavailable("another preview is drawn or run verified just now; try again in a moment")
    try:
        yield
    finally:
        _turn.release()
