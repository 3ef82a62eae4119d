"""Restart processes that end, as a supervisor does, for tests in which they are killed."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.harness import kill

Start = Callable[[], "subprocess.Popen[bytes]"]
_POLL_S = 0.1


class Keeper:
    """Processes by name, each started again as soon as it has ended."""

    def __init__(self, starts: dict[str, Start]) -> None:
        self._starts = starts
        self._over = threading.Event()
        self.running = {name: start() for name, start in starts.items()}
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Restart nothing any more."""
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._over.wait(_POLL_S):
            for name, start in self._starts.items():
                if self.running[name].poll() is not None:
                    kill(self.running[name])
                    self.running[name] = start()


@contextmanager
def kept(starts: dict[str, Start]) -> Iterator[Keeper]:
    """Processes that are restarted for one block; who started them ends them."""
    keeper = Keeper(starts)
    try:
        yield keeper
    finally:
        keeper.close()
