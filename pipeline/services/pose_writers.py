"""Writers of poses: JSON Lines, Parquet, CSV. The same frames always give the same bytes.

Coordinates are pixels of the frame as displayed; `time_s` is pts times time base, the container's own timeline.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from fractions import Fraction
from typing import IO, Any, Literal, Protocol, get_args

import numpy as np
import orjson

from pipeline.core.poses import Float32s
from pipeline.db.frames import FrameRow

Format = Literal["jsonl", "parquet", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
#: From here on `str` of a float32 has an exponent.
_LARGEST_PLAIN = 1e6


class FrameWriter(Protocol):
    """Writes a run's frames, which come in order."""

    def write(self, row: FrameRow) -> None:
        """Write one frame."""

    def close(self) -> None:
        """Write what is buffered; no frame follows."""


def time_s(pts: int, time_base: Fraction) -> float:
    """Seconds on the container's own timeline, unrounded."""
    return pts * time_base.numerator / time_base.denominator


class ByteSink(Protocol):
    """Accepts bytes: a file, or a digest."""

    def write(self, data: bytes, /) -> object:
        """Accept the next bytes."""


class JsonLines:
    """One line per frame, frames without people, too."""

    def __init__(self, file: ByteSink, time_base: Fraction) -> None:
        self._file = file
        self._time_base = time_base

    def write(self, row: FrameRow) -> None:
        poses = row.poses
        line: dict[str, Any] = {
            "frame": row.frame,
            "pts": row.pts,
            "time_s": time_s(row.pts, self._time_base),
            "people": [
                {"score": poses.scores[i], "box": poses.boxes_xyxy[i], "keypoints": poses.keypoints[i]}
                for i in range(len(poses))
            ],
        }
        if row.missing is not None:
            line["missing"] = row.missing
        self._file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Nothing is buffered."""


class Csv:
    """One row per person per frame; frames without people go to `empty`."""

    def __init__(self, poses: IO[bytes], empty: IO[bytes], time_base: Fraction, names: Sequence[str]) -> None:
        self._time_base = time_base
        self._poses = poses
        self._texts = [io.TextIOWrapper(f, "utf-8", newline="", write_through=True) for f in (poses, empty)]
        header, self._empty = (csv.writer(text, lineterminator="\n") for text in self._texts)
        axes = [f"{name}_{axis}" for name in names for axis in ("x", "y", "confidence")]
        header.writerow(["frame", "pts", "time_s", "person", "score", "x1", "y1", "x2", "y2", *axes])
        self._empty.writerow(["frame", "pts", "time_s", "missing"])

    def write(self, row: FrameRow) -> None:
        when = (row.frame, row.pts, repr(time_s(row.pts, self._time_base)))
        for i, numbers in enumerate(table_of(row) if len(row.poses) else ()):
            self._poses.write(b"%d,%d,%s,%d,%s\n" % (*when[:2], when[2].encode(), i, number_line(numbers)))
        if not len(row.poses):
            self._empty.writerow([*when, row.missing or ""])

    def close(self) -> None:
        for text in self._texts:
            text.detach()


def number_line(numbers: Float32s) -> bytes:
    """float32 `(n,)` as text with commas between, each as `str` has it: the fewest digits that name it.

    That is what orjson writes, in a tenth of the time, except where `str` writes exponents.
    """
    if np.abs(numbers).max() < _LARGEST_PLAIN:  # false for NaN
        line = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
        if b"e" not in line and b"0.0000" not in line:
            return line
    return ",".join(map(str, numbers)).encode()


def table_of(row: FrameRow) -> Float32s:
    """float32 `(people, 5 + 3 * keypoints)`: score, box and keypoints of each person."""
    poses = row.poses
    return np.concatenate((poses.scores[:, None], poses.boxes_xyxy, poses.keypoints.reshape(len(poses), -1)), axis=1)
