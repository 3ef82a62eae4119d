"""Files that a bench writes: found out before any work whether they can be, and then written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import UsageError


def check_target(path: Path, option: str) -> None:
    """Find out before any work whether a file can be written there, by trying.

    Args:
        option: that named it, for the mend.

    Raises:
        UsageError: it cannot, and why.
    """
    with _in_words(path, option):
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is not a file; name a file with {option}")
        if not _target(path).parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}; make it, or choose another {option}")
        part = _part(path)
        part.touch()
        part.unlink()


def is_same_target(one: Path, other: Path) -> bool:
    """Whether both are one file, through links too."""
    return _target(one) == _target(other)


@contextmanager
def written_whole(path: Path, option: str) -> Iterator[Path]:
    """A file beside to write to, which takes its place at the end of the block; links are followed.

    Raises:
        UsageError: it could not be written, and why. What was there before stays.
    """
    part = _part(path)
    try:
        with _in_words(path, option):
            yield part
            part.replace(_target(path))
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def _in_words(path: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}; choose another {option}") from error


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _part(path: Path) -> Path:
    target = _target(path)
    return target.with_name(f".{target.name}.{os.getpid()}.part")
