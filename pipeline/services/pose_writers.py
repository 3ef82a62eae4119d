"""Writers of poses: JSON Lines, Parquet, CSV. The same frames always give the same bytes.

Coordinates are pixels of the frame as displayed; `time_s` is pts times time base, the container's own timeline.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import IO, Any, Literal, Protocol, get_args

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.db.frames import FrameRow

Format = Literal["jsonl", "parquet", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
_ROW_GROUP = 20_000


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
        self._texts = [io.TextIOWrapper(f, "utf-8", newline="", write_through=True) for f in (poses, empty)]
        self._poses, self._empty = (csv.writer(text, lineterminator="\n") for text in self._texts)
        axes = [f"{name}_{axis}" for name in names for axis in ("x", "y", "confidence")]
        self._poses.writerow(["frame", "pts", "time_s", "person", "score", "x1", "y1", "x2", "y2", *axes])
        self._empty.writerow(["frame", "pts", "time_s", "missing"])

    def write(self, row: FrameRow) -> None:
        when = (row.frame, row.pts, repr(time_s(row.pts, self._time_base)))
        for i in range(len(row.poses)):
            numbers = np.concatenate((row.poses.boxes_xyxy[i], row.poses.keypoints[i].reshape(-1)))
            self._poses.writerow([*when, i, str(row.poses.scores[i]), *map(str, numbers)])
        if not len(row.poses):
            self._empty.writerow([*when, row.missing or ""])

    def close(self) -> None:
        for text in self._texts:
            text.detach()


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
        self._rows: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]] = ([], [])

    def write(self, row: FrameRow) -> None:
        when = (row.frame, row.pts, time_s(row.pts, self._time_base))
        for i in range(len(row.poses)):
            numbers = np.concatenate((row.poses.boxes_xyxy[i], row.poses.keypoints[i].reshape(-1)))
            self._rows[0].append((*when, i, row.poses.scores[i], *numbers))
        if not len(row.poses):
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
        columns: Iterable[Any] = zip(*rows, strict=True) if rows else ([] for _ in schema)
        arrays = [pa.array(list(values), field.type) for values, field in zip(columns, schema, strict=True)]
        self._writers[table].write_table(pa.Table.from_arrays(arrays, schema=schema))
        rows.clear()


def _field(name: str, kind: Any, unit: str | None = None) -> Any:
    return pa.field(name, kind, metadata={"unit": unit} if unit else None)
