"""A file that is hashed while it is uploaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import IO


class CheckedReader:
    """A file that is read in order by an upload: hashed on the way, and broken off where `check` raises."""

    def __init__(self, file: IO[bytes], check: Callable[[], None], digest: hashlib._Hash | None) -> None:
        self._file, self._check, self._digest = file, check, digest

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        self._check()
        data = self._file.read(size)
        if self._digest is not None:
            self._digest.update(data)
        return data

    @property
    def sha256(self) -> str:
        """Of all that was read."""
        assert self._digest is not None
        return self._digest.hexdigest()
