"""Exports of a run: JSON Lines, Parquet, CSV. The same run always gives the same bytes.

Coordinates are pixels of the frame as displayed; `time_s` is pts times time base, the container's own timeline.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Literal, Protocol, get_args
from uuid import UUID

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.files import atomic_files
from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, iter_frame_rows
from pipeline.db.runs import select_run
from pipeline.db.videos import select_video
from pipeline.errors import RunFailed, UsageError
from pipeline.services.run_metadata import encode_run_metadata
from pipeline.services.system import System

Format = Literal["jsonl", "parquet", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
_ROW_GROUP = 20_000


class FrameWriter(Protocol):
    """Writes a run's frames, which come in order."""

    def write(self, row: FrameRow) -> None:
        """Write one frame."""

    def close(self) -> None:
        """Write what is buffered; no frame follows."""


def export_run(
    system: System, run_id: UUID, to: Path, form: Format, *, team: str | None, progress: Progress = SILENT
) -> list[Path]:
    """Write the poses of a run that is done to `to`. The files appear complete or not at all; returns their paths.

    Parquet and CSV have one row per person per frame; frames without people are in a second file beside it,
    `NAME.empty_frames.EXT`. `NAME.metadata.json` describes the video, the model and the keypoints. `progress` counts
    frames.

    Raises:
        NotFound: there is no such run, or it is another team's.
        RunFailed: the run is not done.
        UsageError: the file cannot be written.
    """
    with transaction(system.engine) as connection:
        run = select_run(connection, run_id, team=team)
        video = select_video(connection, run.video_id, team=team)
    if run.state is not RunState.DONE:
        why = f": {run.reason}" if run.reason else ""
        raise RunFailed(f"run {run.id} is {run.state}{why}; only a run that is done can be exported")
    assert video.time_base is not None
    names = run.model.keypoint_names
    to = checked_target(to)
    paths = [to] if form == "jsonl" else [to, to.with_name(f"{to.stem}.empty_frames{to.suffix}")]
    paths.append(to.with_name(f"{to.stem}.metadata.json"))
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with atomic_files(paths) as files:
            writer: FrameWriter
            if form == "jsonl":
                writer = JsonLines(files[0], video.time_base)
            elif form == "csv":
                writer = _Csv(files[0], files[1], video.time_base, names)
            else:
                writer = _Parquet(files[0], files[1], video.time_base, names)
            for row in iter_frame_rows(system.engine, run_id):
                writer.write(row)
                progress.advance()
            writer.close()
            files[-1].write(encode_run_metadata(run, video))
    except OSError as error:
        raise UsageError(f"{to} cannot be written: {error.strerror}; choose another with --out") from error
    return paths


def checked_target(to: Path) -> Path:
    """The path to write, links resolved.

    Raises:
        UsageError: something other than a regular file, such as a folder or a device, has that path.
    """
    target = to.resolve()
    if target.exists() and not target.is_file():
        raise UsageError(f"{to} is not a file; name a file with --out")
    return target


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


class _Csv:
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


class _Parquet:
    def __init__(self, poses: IO[bytes], empty: IO[bytes], time_base: Fraction, names: Sequence[str]) -> None:
        self._time_base = time_base
        when = [("frame", pa.int32()), ("pts", pa.int64()), ("time_s", pa.float64())]
        person = [("person", pa.int16()), ("score", pa.float32())]
        person += [(corner, pa.float32()) for corner in ("x1", "y1", "x2", "y2")]
        person += [(f"{name}_{axis}", pa.float32()) for name in names for axis in ("x", "y", "confidence")]
        self._schemas = pa.schema(when + person), pa.schema([*when, ("missing", pa.string())])
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
