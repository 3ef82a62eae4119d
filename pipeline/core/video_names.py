"""Which files and objects are taken for videos by their names."""

from __future__ import annotations

import os

VIDEO_ENDINGS = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg"}


def is_video_name(name: str) -> bool:
    """Whether a file or object is taken for a video where a folder or prefix was named; hidden ones are not, such as
    `._cam03.mp4`, which macOS puts beside a file on a card."""
    own = name.rpartition("/")[2]
    return os.path.splitext(own)[1].lower() in VIDEO_ENDINGS and not own.startswith(".")


def numbered_name(name: str, number: int) -> str:
    """The name of the second and later versions of one object: `cam03.mp4`, `cam03 (2).mp4`, `cam03 (3).mp4`."""
    if number < 2:
        return name
    stem, ending = os.path.splitext(name)
    return f"{stem} ({number}){ending}"
