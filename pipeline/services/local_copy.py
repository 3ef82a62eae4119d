"""Copy a stored video to this machine, hashing it on the way; the copy can be read while it grows."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import Queue
from typing import IO

from pipeline.core.objects import StoredObject
from pipeline.services.system import System
from pipeline.video.growing_copy import GrowingCopy

_MOST_UNHASHED = 4


class _Abandoned(Exception):
    """Nobody wants the copy any more."""


class LocalCopy:
    """A nameless temporary file, removed even if this process is killed, and the thread that fills it."""

    def __init__(
        self, system: System, source: StoredObject, scratch: IO[bytes], on_bytes: Callable[[int], None] | None
    ) -> None:
        #: What is there, and what is still to come: reads of that wait.
        self.bytes = GrowingCopy(scratch, source.size_bytes, partial(system.store.read_range, source))
        self._system, self._source, self._on_bytes = system, source, on_bytes
        self._digest = hashlib.sha256()
        self._unhashed: Queue[bytes] = Queue(_MOST_UNHASHED)
        self._error: BaseException | None = None
        self._abandoned = False
        self._threads = [
            threading.Thread(target=work, name="local-copy", daemon=True) for work in (self._fill, self._hash)
        ]
        for thread in self._threads:
            thread.start()

    def sha256(self) -> str:
        """Wait until the copy is complete, and return its SHA-256.

        Raises:
            Exception: why it cannot be completed.
        """
        self._join()
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Fetch no more, and wait for the thread."""
        self._abandoned = True
        self._join()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _fill(self) -> None:
        try:
            for piece in self._system.store.iter_whole(self._source):
                if self._abandoned:
                    raise _Abandoned
                self.bytes.append(piece)
                self._unhashed.put(piece)
                if self._on_bytes is not None:
                    self._on_bytes(len(piece))
        except BaseException as error:  # noqa: BLE001 - raised where the copy is used
            self._error = error
            self.bytes.fail(error)
        finally:
            self._unhashed.put(b"")

    def _hash(self) -> None:
        """Hash one piece while the next one comes."""
        while piece := self._unhashed.get():
            self._digest.update(piece)


@contextmanager
def local_copy(
    system: System, source: StoredObject, on_bytes: Callable[[int], None] | None = None
) -> Iterator[LocalCopy]:
    """Fetch the pinned version of an object while the block runs. Reads and `LocalCopy.sha256` wait, and raise:

    Args:
        on_bytes: told each piece's length, in another thread; what it raises breaks the copy off.

    Raises:
        SourceGone: it changed or went away.
        ServiceUnavailable: the store does not answer, or closed the connection.
    """
    scratch_path = system.settings.scratch_path
    scratch_path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch_path) as scratch:
        copy = LocalCopy(system, source, scratch, on_bytes)
        try:
            yield copy
        finally:
            copy.abandon()
