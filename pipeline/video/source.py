"""The sources of a video's bytes. A child requests ranges from its parent; it never gets a URL or a credential."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol


class ByteSource(Protocol):
    """Random access to one immutable file. Safe to call from one thread at a time."""

    @property
    def size_bytes(self) -> int:
        """Length of the whole file."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Read the bytes `[offset, offset + size)`, fewer only at the end of the file.

        Raises:
            SourceGone: the file was changed or removed.
            ServiceUnavailable: the object store does not answer.
        """


class FileSource:
    """An open file on this machine; its owner closes it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size_bytes = os.fstat(self._file.fileno()).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, offset)


@contextmanager
def open_source(path: Path) -> Iterator[FileSource]:
    """Open a local file for the duration of the block."""
    with path.open("rb") as file:
        yield FileSource(file)
