"""Write frames to Postgres with binary COPY, and read them with binary cursors.

A list of Python floats per keypoint would take longer than the network; arrays stay numpy from the model to the wire
and back. Format: https://www.postgresql.org/docs/18/sql-copy.html#SQL-COPY-BINARY-FORMAT and `array_send`.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast
from uuid import UUID

import numpy as np
import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from sqlalchemy import Connection, Engine, select

from pipeline.core.poses import Float32s, FramePoses
from pipeline.db.engine import database_errors
from pipeline.db.tables import frame

_HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_TRAILER = struct.pack("!h", -1)
_FLOAT4_OID = 700
_FLOAT4_ARRAY_OID = 1021
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">f4")])
_EMPTY_ARRAY = struct.pack("!iiii", 12, 0, 0, _FLOAT4_OID)
_ARRAY = struct.Struct("!iiiiii")  # bytes, dimensions, has nulls, type, size, lower bound
#: A row's fields before its arrays: name, type, and what it holds in every row.
_FIXED = (
    *(("columns", ">i2", 9), ("run_id_size", ">i4", 16), ("run_id", "V16", bytes(16))),
    *(("frame_size", ">i4", 4), ("frame", ">i4", 0), ("chunk_idx_size", ">i4", 4), ("chunk_idx", ">i4", 0)),
    *(("pts_size", ">i4", 8), ("pts", ">i8", 0), ("people_size", ">i4", 2), ("people", ">i2", 0)),
    ("missing", ">i4", -1),
)
_COPY = """
COPY frame (run_id, frame, chunk_idx, pts, people, missing, scores, boxes, keypoints) FROM STDIN (FORMAT BINARY)
"""
_SELECT = """
SELECT frame, pts, people, missing, scores, boxes, keypoints FROM frame
WHERE run_id = %s ORDER BY frame
"""
_SELECT_SOME = _SELECT.replace("ORDER", "AND frame = ANY(%s) ORDER")
_SELECT_SPAN = _SELECT.replace("ORDER", "AND frame >= %s AND frame < %s ORDER")
_FETCH_ROWS = 500
_PIECE_BYTES = 256 * 1024
#: Encoded at a time: by one a frame took 5 us, by 60 it takes 1.4.
_PIECE_FRAMES = 60
_IN_MEMORY_BYTES = 2**20
#: A long chunk is one statement, and its work must not be lost for being slow.
_COPY_TIMEOUT = "SET LOCAL statement_timeout = '15min'"


@dataclass(frozen=True, eq=False)
class FrameRow:
    """One frame of a run. `missing` is the reason where the frame could not be analysed."""

    frame: int
    pts: int
    poses: FramePoses
    missing: str | None = None


@lru_cache(maxsize=256)
def _row_of(people: int, points: int) -> np.ndarray[Any, np.dtype[np.void]]:
    """A template row of COPY for so many people and keypoints, as a record array of shape `(1,)`."""
    arrays = {"scores": people, "boxes": 4 * people, "keypoints": 3 * points * people}
    fields: list[Any] = [(name, kind) for name, kind, _ in _FIXED]
    for name, size in arrays.items():
        fields.append((f"{name}_head", f"V{_ARRAY.size if size else len(_EMPTY_ARRAY)}"))
        fields += [(name, _ELEMENT, (size,))] * bool(size)
    row = np.zeros(1, np.dtype(fields))
    for name, _, value in _FIXED:
        row[name] = value
    row["people"] = people
    for name, size in arrays.items():
        head = _ARRAY.pack(20 + 8 * size, 1, 0, _FLOAT4_OID, size, 1) if size else _EMPTY_ARRAY
        row[f"{name}_head"] = np.void(head)
        if size:
            row[name]["length"] = 4
    return row


def _encode_same_shape(run_id: UUID, chunk_idx: int, rows: Sequence[FrameRow]) -> bytes:
    """Encode rows that all have the same number of people and keypoints, none of them missing."""
    poses = [row.poses for row in rows]
    people, points = _shape(rows[0])
    table = np.repeat(_row_of(people, points), len(rows))
    table["run_id"] = np.void(run_id.bytes)
    table["chunk_idx"] = chunk_idx
    table["frame"] = [row.frame for row in rows]
    table["pts"] = [row.pts for row in rows]
    if people:
        table["scores"]["value"] = [each.scores for each in poses]
        table["boxes"]["value"] = np.stack([each.boxes_xyxy for each in poses]).reshape(len(rows), -1)
    if people * points:
        table["keypoints"]["value"] = np.stack([each.keypoints for each in poses]).reshape(len(rows), -1)
    return table.tobytes()


def _encode_missing(run_id: UUID, chunk_idx: int, row: FrameRow, reason: str) -> bytes:
    """Encode a frame that could not be analysed, with the reason."""
    row_bytes = _encode_same_shape(run_id, chunk_idx, (FrameRow(row.frame, row.pts, FramePoses.empty()),))
    at = _row_of(0, 0).dtype.fields["missing"][1]  # type: ignore[index]
    text = reason.encode()
    return row_bytes[:at] + struct.pack("!i", len(text)) + text + row_bytes[at + 4 :]


def encode_frames(run_id: UUID, chunk_idx: int, rows: Iterable[FrameRow]) -> Iterator[bytes]:
    """Encode rows as binary COPY without header and trailer, in pieces; the order of rows may change."""
    rows = iter(rows)
    while some := list(islice(rows, _PIECE_FRAMES)):
        by_shape: dict[tuple[int, int], list[FrameRow]] = {}
        for row in some:
            if row.missing is None:
                by_shape.setdefault(_shape(row), []).append(row)
            else:
                yield _encode_missing(run_id, chunk_idx, row, row.missing)
        for group in by_shape.values():
            yield _encode_same_shape(run_id, chunk_idx, group)


def _shape(row: FrameRow) -> tuple[int, int]:
    """People, and keypoints of each."""
    people, points, _ = row.poses.keypoints.shape
    return people, points if people else 0


class FrameSpool:
    """Holds a chunk's frames, encoded, until they are committed; a long chunk is held on disk, not in memory.

    The file has no name, so nothing is left behind if this process is killed.
    """

    def __init__(self, run_id: UUID, chunk_idx: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._run_id, self._chunk_idx = run_id, chunk_idx
        self._waiting: list[FrameRow] = []
        self._file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=str(folder)))  # noqa: SIM115
        self.frames = 0
        self.people = 0

    def add(self, row: FrameRow) -> None:
        """Add one frame."""
        self._waiting.append(row)
        self.frames += 1
        self.people += len(row.poses)
        if len(self._waiting) == _PIECE_FRAMES:
            self._write()

    def add_encoded(self, piece: bytes) -> None:
        """Add frames that another spool encoded; `frames` and `people` do not count them."""
        self._file.write(piece)

    def pieces(self) -> Iterator[bytes]:
        """Yield all of them as `copy_frames` takes them."""
        self._write()
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            yield piece

    def _write(self) -> None:
        self._file.writelines(encode_frames(self._run_id, self._chunk_idx, self._waiting))
        self._waiting.clear()

    def __enter__(self) -> FrameSpool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def copy_frames(connection: Connection, pieces: Iterable[bytes]) -> None:
    """Write frames that `encode_frames` encoded, in the caller's transaction."""
    driver: Any = connection.connection.driver_connection
    driver.execute(_COPY_TIMEOUT)
    with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.write(_HEADER)
        for piece in pieces:
            copy.write(piece)
        copy.write(_TRAILER)


class _Float4ArrayLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> Float32s:
        if len(data) < _ARRAY.size:
            return np.zeros(0, np.float32)
        return np.frombuffer(data, _ELEMENT, offset=20)["value"].astype(np.float32)


def has_frames(connection: Connection, run_id: UUID) -> bool:
    """Whether any frame of a run was analysed."""
    return connection.execute(select(frame.c.frame).where(frame.c.run_id == run_id).limit(1)).first() is not None


def iter_frame_rows(engine: Engine, run_id: UUID, numbers: Sequence[int] | None = None) -> Iterator[FrameRow]:
    """Stream a run's frames in order; memory does not grow with the video.

    Args:
        numbers: of the frames wanted; None for all.

    Raises:
        ServiceUnavailable: Postgres does not answer.
    """
    with database_errors(), engine.begin() as connection:
        if numbers is None:
            yield from _rows(connection, "frames", _SELECT, (run_id,))
        else:
            yield from _rows(connection, "frames", _SELECT_SOME, (run_id, list(numbers)))


def select_frame_span(connection: Connection, run_id: UUID, first: int, stop: int) -> list[FrameRow]:
    """The frames `[first, stop)` of a run that are there, in order, in the caller's transaction."""
    return list(_rows(connection, "frames", _SELECT_SPAN, (run_id, first, stop)))


def iter_frame_pairs(
    engine: Engine, run_id: UUID, other_run_id: UUID
) -> Generator[tuple[FrameRow | None, FrameRow | None], None, None]:
    """Stream the frames of two runs of one video in order, those of the same number together, on one connection.

    None stands for a frame that a run does not have. Memory does not grow with the video.

    Raises:
        ServiceUnavailable: Postgres does not answer.
    """
    with database_errors(), engine.begin() as connection:
        ones = _rows(connection, "frames", _SELECT, (run_id,))
        others = _rows(connection, "other_frames", _SELECT, (other_run_id,))
        one, other = next(ones, None), next(others, None)
        while one is not None or other is not None:
            if other is None or (one is not None and one.frame < other.frame):
                yield one, None
                one = next(ones, None)
            elif one is None or other.frame < one.frame:
                yield None, other
                other = next(others, None)
            else:
                yield one, other
                one, other = next(ones, None), next(others, None)


def _rows(connection: Connection, cursor_name: str, query: str, values: tuple[object, ...]) -> Iterator[FrameRow]:
    """Rows by a cursor of the server."""
    driver: Any = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with driver.cursor(name=cursor_name, binary=True) as cursor:
        cursor.adapters.register_loader(_FLOAT4_ARRAY_OID, _Float4ArrayLoader)
        cursor.itersize = _FETCH_ROWS
        cursor.execute(query, values)
        for frame, pts, people, missing, scores, boxes, keypoints in cursor:
            points = len(keypoints) // (3 * people) if people else 0
            poses = FramePoses(scores, boxes.reshape(people, 4), keypoints.reshape(people, points, 3))
            yield FrameRow(frame, pts, poses, missing)
