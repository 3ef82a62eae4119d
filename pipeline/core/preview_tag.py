"""The mark in the metadata of every preview that Poseline draws: of which run it is.

By it a preview is never taken for new footage, and never replaced by that of another run.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from pathlib import Path
from uuid import UUID

_PREFIX = "Poseline preview of run "
_HEADER_BYTES = 33  # of a PNG: its signature and the chunk IHDR


def preview_tag(run_id: UUID) -> str:
    """The comment that is written into a preview of a run."""
    return f"{_PREFIX}{run_id}"


def is_preview_of(path: Path, run_id: UUID) -> bool:
    """Whether a file contains the mark of a preview of that run. It is searched as bytes: nothing in it is parsed.

    Raises:
        OSError: the file cannot be read.
    """
    return _contains(path, preview_tag(run_id))


def comparison_tag(run_id: UUID, other_run_id: UUID) -> str:
    """The comment that is written into a picture of what changed from one run to another."""
    return f"Poseline comparison of runs {run_id} {other_run_id}"


def is_comparison_of(path: Path, run_id: UUID, other_run_id: UUID) -> bool:
    """Whether a file contains the mark of a comparison of these runs.

    Raises:
        OSError: the file cannot be read.
    """
    return _contains(path, comparison_tag(run_id, other_run_id))


def _contains(path: Path, tag: str) -> bool:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(tag.encode()) >= 0


def with_preview_tag(png: bytes, run_id: UUID) -> bytes:
    """A PNG with the mark of a preview as its comment."""
    return with_comment(png, preview_tag(run_id))


def with_comment(picture: bytes, comment: str) -> bytes:
    """A PNG or JPEG with a comment: a tEXt chunk after the header (https://www.w3.org/TR/png-3/#11tEXt), or a segment
    COM after the start (ITU-T T.81, B.2.4.5)."""
    if picture[:2] == b"\xff\xd8":
        text = comment.encode()
        return picture[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + picture[2:]
    png, body = picture, b"tEXtComment\0" + comment.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_HEADER_BYTES] + chunk + png[_HEADER_BYTES:]


def read_preview_tag(comment: str) -> UUID | None:
    """The run that a file with this comment is a preview of; None for any other comment."""
    if not comment.startswith(_PREFIX):
        return None
    try:
        return UUID(comment.removeprefix(_PREFIX).strip())
    except ValueError:
        return None
