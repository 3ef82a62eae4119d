"""Copy a stored video to this machine, hashing it on the way."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from pipeline.core.objects import StoredObject
from pipeline.services.system import System


@dataclass(frozen=True)
class LocalCopy:
    """A nameless temporary file, removed even if this process is killed, and its SHA-256."""

    file: IO[bytes]
    sha256: str


@contextmanager
def local_copy(
    system: System, source: StoredObject, on_bytes: Callable[[int], None] | None = None
) -> Iterator[LocalCopy]:
    """Fetch the pinned version of an object; `on_bytes` is told each piece's length, and may break off.

    Raises:
        SourceGone: it changed or went away.
        ServiceUnavailable: the store does not answer, or closed the connection.
    """
    scratch_path = system.settings.scratch_path
    scratch_path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch_path) as scratch:
        digest = hashlib.sha256()
        for piece in system.store.iter_whole(source):
            digest.update(piece)
            scratch.write(piece)
            if on_bytes is not None:
                on_bytes(len(piece))
        scratch.flush()
        yield LocalCopy(scratch, digest.hexdigest())
