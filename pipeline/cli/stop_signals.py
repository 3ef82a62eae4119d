"""SIGTERM and SIGHUP as an end in good order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopped_as_by_ctrl_c() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise KeyboardInterrupt, so that what is half-made is removed, too, where a
    machine shuts down or a terminal is closed. One that is ignored, as under nohup, or handled stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
