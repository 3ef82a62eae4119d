"""The mark in the metadata of every video that Poseline draws, by which it is never taken for new footage."""

from __future__ import annotations

import mmap
from pathlib import Path
from uuid import UUID

_PREFIX = "Poseline preview of run "


def preview_tag(run_id: UUID) -> str:
    """The comment that is written into a preview of a run."""
    return f"{_PREFIX}{run_id}"


def has_preview_tag(path: Path) -> bool:
    """Whether a file contains the mark of a preview. It is searched as bytes: nothing in it is parsed.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(_PREFIX.encode()) >= 0


def read_preview_tag(comment: str) -> UUID | None:
    """The run that a file with this comment is a preview of; None for any other comment."""
    if not comment.startswith(_PREFIX):
        return None
    try:
        return UUID(comment.removeprefix(_PREFIX).strip())
    except ValueError:
        return None
