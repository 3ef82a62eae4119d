"""Writers of poses: JSON Lines, Parquet, CSV. The same frames always give the same bytes.

Coordinates are pixels of the frame as displayed; `time_s` is pts times time base, the container's own timeline.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import IO, Any, Literal, Protocol, get_args

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.poses import Float32s
from pipeline.db.frames import FrameRow

Format = Literal["jsonl", "parquet", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
_ROW_GROUP = 20_000
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
        for i, numbers in enumerate(_table(row) if len(row.poses) else ()):
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


def _table(row: FrameRow) -> Float32s:
    """float32 `(people, 5 + 3 * keypoints)`: score, box and keypoints of each person."""
    poses = row.poses
    return np.concatenate((poses.scores[:, None], poses.boxes_xyxy, poses.keypoints.reshape(len(poses), -1)), axis=1)


class Parquet:
    """The same tables as `Csv`, with units in the fields' metadata.

    Args:
        about: text by key for the files' own metadata: the run, its video and its model.
    """

    def __init__(
        self,
        poses: IO[bytes],
        empty: IO[bytes],
        time_base: Fraction,
        names: Sequence[str],
        about: Mapping[str, str],
    ) -> None:
        self._time_base = time_base
        when = [_field("frame", pa.int32()), _field("pts", pa.int64()), _field("time_s", pa.float64(), "s")]
        person = [_field("person", pa.int16()), _field("score", pa.float32())]
        person += [_field(corner, pa.float32(), "px") for corner in ("x1", "y1", "x2", "y2")]
        for name in names:
            person += [_field(f"{name}_x", pa.float32(), "px"), _field(f"{name}_y", pa.float32(), "px")]
            person.append(_field(f"{name}_confidence", pa.float32()))
        metadata = dict(about)
        self._schemas = (
            pa.schema([*when, *person], metadata),
            pa.schema([*when, _field("missing", pa.string())], metadata),
        )
        self._writers = [
            pq.ParquetWriter(file, schema, compression="zstd")
            for file, schema in zip((poses, empty), self._schemas, strict=True)
        ]
        #: Of each table: frame, pts, time, and person or what is missing.
        self._rows: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]] = ([], [])
        self._numbers: list[Float32s] = []

    def write(self, row: FrameRow) -> None:
        when = (row.frame, row.pts, time_s(row.pts, self._time_base))
        if len(row.poses):
            self._rows[0].extend((*when, i) for i in range(len(row.poses)))
            self._numbers.append(_table(row))
        else:
            self._rows[1].append((*when, row.missing))
        for table in (0, 1):
            if len(self._rows[table]) >= _ROW_GROUP:
                self._flush(table)

    def close(self) -> None:
        for table in (0, 1):
            self._flush(table)
            self._writers[table].close()

    def _flush(self, table: int) -> None:
        schema, rows = self._schemas[table], self._rows[table]
        columns: list[Any] = list(zip(*rows, strict=True)) or [()] * len(schema)
        if table == 0 and rows:
            columns += list(np.ascontiguousarray(np.concatenate(self._numbers).T))
            self._numbers.clear()
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        self._writers[table].write_table(pa.Table.from_arrays(arrays, schema=schema))
        rows.clear()


def _field(name: str, kind: Any, unit: str | None = None) -> Any:
    return pa.field(name, kind, metadata={"unit": unit} if unit else None)
