"""Frames into and out of Postgres, by binary COPY and binary cursors.

A list of Python floats per keypoint would cost more than the network; here arrays stay numpy from the model to the
wire and back. Format: https://www.postgresql.org/docs/18/sql-copy.html#SQL-COPY-BINARY-FORMAT and `array_send`.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from uuid import UUID

import numpy as np
import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from sqlalchemy import Connection, Engine

from pipeline.core.poses import Float32s, FramePoses
from pipeline.db.engine import database_errors

_HEADER = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_TRAILER = struct.pack("!h", -1)
_FLOAT4_OID = 700
_FLOAT4_ARRAY_OID = 1021
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">f4")])
_EMPTY_ARRAY = struct.pack("!iii", 0, 0, _FLOAT4_OID)
_FIXED = struct.Struct("!h i16s ii ii iq ih")
_COPY = """
COPY frame (run_id, frame_no, chunk_idx, pts, people, missing, scores, boxes, keypoints) FROM STDIN (FORMAT BINARY)
"""
_SELECT = """
SELECT frame_no, pts, people, missing, scores, boxes, keypoints FROM frame
WHERE run_id = %s ORDER BY frame_no
"""
_FETCH_ROWS = 500
_PIECE_BYTES = 256 * 1024
_IN_MEMORY_BYTES = 2**20
#: A long chunk is one statement, and its work is not to be thrown away for being slow.
_PATIENCE = "SET LOCAL statement_timeout = '15min'"


@dataclass(frozen=True, eq=False)
class FrameRow:
    """One frame of a run. `missing` says why there are no poses where the decoder gave no frame."""

    frame_no: int
    pts: int
    poses: FramePoses
    missing: str | None = None


def _array_field(values: Float32s) -> bytes:
    flat = values.reshape(-1)
    if not flat.size:
        return struct.pack("!i", len(_EMPTY_ARRAY)) + _EMPTY_ARRAY
    elements = np.empty(flat.size, _ELEMENT)
    elements["length"] = 4
    elements["value"] = flat
    body = elements.tobytes()
    return struct.pack("!iiiiii", 20 + len(body), 1, 0, _FLOAT4_OID, flat.size, 1) + body


def encode_frames(run_id: UUID, chunk_idx: int, rows: Iterable[FrameRow]) -> Iterator[bytes]:
    """The rows as binary COPY, without its header and trailer, a piece a row."""
    for row in rows:
        missing = None if row.missing is None else row.missing.encode()
        yield b"".join(
            (
                _FIXED.pack(9, 16, run_id.bytes, 4, row.frame_no, 4, chunk_idx, 8, row.pts, 2, len(row.poses)),
                struct.pack("!i", -1) if missing is None else struct.pack("!i", len(missing)) + missing,
                _array_field(row.poses.scores),
                _array_field(row.poses.boxes_xyxy),
                _array_field(row.poses.keypoints),
            )
        )


class FrameSpool:
    """A chunk's frames on their way into Postgres, encoded at once: a long chunk takes disk, not memory.

    The file has no name, so nothing stays behind whatever kills this process.
    """

    def __init__(self, run_id: UUID, chunk_idx: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._run_id, self._chunk_idx = run_id, chunk_idx
        self._file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=str(folder)))  # noqa: SIM115
        self.frames = 0
        self.people = 0

    def add(self, row: FrameRow) -> None:
        """One frame more."""
        self._file.writelines(encode_frames(self._run_id, self._chunk_idx, (row,)))
        self.frames += 1
        self.people += len(row.poses)

    def pieces(self) -> Iterator[bytes]:
        """All of them, as `copy_frames` takes them."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            yield piece

    def __enter__(self) -> FrameSpool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def copy_frames(connection: Connection, pieces: Iterable[bytes]) -> None:
    """Write frames, encoded by `encode_frames`, inside the caller's transaction."""
    driver: Any = connection.connection.driver_connection
    driver.execute(_PATIENCE)
    with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.write(_HEADER)
        for piece in pieces:
            copy.write(piece)
        copy.write(_TRAILER)


class _Float4ArrayLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> Float32s:
        if len(data) <= len(_EMPTY_ARRAY):
            return np.zeros(0, np.float32)
        return np.frombuffer(data, _ELEMENT, offset=20)["value"].astype(np.float32)


def iter_frame_rows(engine: Engine, run_id: UUID) -> Iterator[FrameRow]:
    """A run's frames in order, streamed: memory does not grow with the video.

    Raises:
        ServiceUnavailable: Postgres does not answer.
    """
    with database_errors(), engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with driver.cursor(name="frames", binary=True) as cursor:
            cursor.adapters.register_loader(_FLOAT4_ARRAY_OID, _Float4ArrayLoader)
            cursor.itersize = _FETCH_ROWS
            cursor.execute(_SELECT, (run_id,))
            for frame_no, pts, people, missing, scores, boxes, keypoints in cursor:
                points = len(keypoints) // (3 * people) if people else 0
                poses = FramePoses(scores, boxes.reshape(people, 4), keypoints.reshape(people, points, 3))
                yield FrameRow(frame_no, pts, poses, missing)
