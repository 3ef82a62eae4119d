"""What ends a bench from outside ends it as Ctrl-C does; and what must not be broken off is not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def interruptible() -> AbstractContextManager[None]:
    """Have SIGTERM and a closed terminal end the block as Ctrl-C does."""

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    return _signals(_SIGNALS, leave)


def undisturbed() -> AbstractContextManager[None]:
    """Have no signal break the block off: not a second Ctrl-C either."""
    return _signals((signal.SIGINT, *_SIGNALS), signal.SIG_IGN)


@contextmanager
def _signals(numbers: tuple[signal.Signals, ...], handler: signal.Handlers | Callable[..., None]) -> Iterator[None]:
    """Handle signals so in the block; only the main thread can, and only it gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in kept.items():
            signal.signal(number, before)
