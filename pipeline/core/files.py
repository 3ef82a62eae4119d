"""Files that are replaced in one step: a reader sees the old content or the new, never a part of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Yield one temporary path beside each of `paths`; rename all of them when the block ends without an error.

    On an error the temporary files are removed and `paths` stay as they were.

    Raises:
        OSError: a file cannot be renamed, for instance because none was written.
    """
    parts = [path.with_name(f".{path.name}.{secrets.token_hex(4)}.part") for path in paths]
    try:
        yield parts
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


@contextmanager
def atomic_files(paths: Sequence[Path]) -> Iterator[list[IO[bytes]]]:
    """Yield one file to write for each of `paths`; all take their names when the block ends without an error.

    Raises:
        OSError: a file cannot be written.
    """
    with replacing(*paths) as parts, ExitStack() as opened:
        yield [opened.enter_context(part.open("wb")) for part in parts]


def write_atomically(path: Path, data: bytes | str, *, private: bool = False, durable: bool = False) -> None:
    """Replace a file by `data`; text is written as UTF-8.

    Args:
        private: only the owner can read it, at every moment (mode 0600).
        durable: it is on disk (fsync) before it takes its name.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as [part]:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
