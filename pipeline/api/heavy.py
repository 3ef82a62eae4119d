"""Work that takes a processor for itself: one at a time in this process, so that all else is still answered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from pipeline.errors import Abandoned, ServiceUnavailable

T = TypeVar("T")

_WAIT_S = 20.0
_LOOK_S = 0.1
#: Who waits, in the order of coming; the first has the turn.
_waiting: deque[object] = deque()
_changed = threading.Condition()


@contextmanager
def one_at_a_time(gone: threading.Event | None = None) -> Iterator[None]:
    """Wait for the turn, no longer than until `gone` is set.

    Raises:
        ServiceUnavailable: another's work takes too long.
        Abandoned: whoever waits has gone.
    """
    own, until = object(), time.monotonic() + _WAIT_S
    with _changed:
        _waiting.append(own)
    try:
        with _changed:
            while not _changed.wait_for(lambda: _waiting[0] is own, _LOOK_S):
                if gone is not None and gone.is_set():
                    raise Abandoned
                if time.monotonic() > until:
                    raise ServiceUnavailable("another preview is drawn or run verified just now; try again in a moment")
        yield
    finally:
        with _changed:
            _waiting.remove(own)
            _changed.notify_all()


async def while_wanted(request: Request, work: Callable[[threading.Event], T]) -> T:
    """Do work in a thread. Its event is set once the client has gone, or this process ends."""
    gone = threading.Event()
    watching = asyncio.create_task(_watch(request, gone))
    try:
        return await run_in_threadpool(work, gone)
    finally:
        gone.set()
        watching.cancel()


async def _watch(request: Request, gone: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()
