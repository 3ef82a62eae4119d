"""The poses of a live session as they lie in the video that was kept of it: a box of its own at the end of the file.

Players and FFmpeg skip it. A row for each picture, by rising pts, says where its entry is; so a part of a long session
is found without reading the rest.

    box: u32 1, `uuid`, u64 size, 16 bytes `BOX` | entries | rows: pts i64, at u64, size u32 | tail
    entry: u8 fate, then analysed: u16 people, u16 keypoints, f32 scores, boxes, keypoints; others: why, as UTF-8

The tail is the session's id, the number of rows, and a constant. Little-endian, but for the box's own head. `at` is
counted from the end of that.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np

from pipeline.core.live_results import Fate
from pipeline.core.poses import FramePoses

BOX: Final = UUID("6c1d2f0e-7d53-4c7f-9d0b-706f73656c6e")
_HEAD: Final = struct.Struct(">I4sQ16s")
_ROW: Final = struct.Struct("<qQI")
_TAIL: Final = struct.Struct("<16sQ8s")
_MAGIC: Final = b"PSLIVE\x00\x01"
_POSES: Final = struct.Struct("<BHH")
#: Larger entries are no poses of a picture.
LARGEST_ENTRY: Final = 1 << 20
_ROWS_AT_ONCE: Final = 512
SUPERSEDED: Final = "a newer frame took its place in the live session"


@dataclass(frozen=True)
class Entry:
    """What became of a picture in its live session.

    Args:
        poses: of one that was analysed; else none.
        reason: why it was not, one line.
    """

    poses: FramePoses
    reason: str | None = None


def encode_entry(fate: Fate, poses: FramePoses | None, reason: str = "") -> bytes:
    """What became of a picture, as it is kept."""
    if fate is Fate.ANALYSED and poses is not None:
        people, points, _ = poses.keypoints.shape
        values = (poses.scores, poses.boxes_xyxy, poses.keypoints)
        return _POSES.pack(fate, people, points) + b"".join(each.astype("<f4").tobytes() for each in values)
    return bytes([fate]) + reason.encode()[:300]


def decode_entry(data: bytes) -> Entry:
    """Read what `encode_entry` made.

    Raises:
        ValueError: it is none.
    """
    if not data or data[0] not in list(Fate):
        raise ValueError("an entry of a live session's poses is damaged")
    fate = Fate(data[0])
    if fate is Fate.ANALYSED:
        if len(data) < _POSES.size:
            raise ValueError("an entry of a live session's poses is damaged")
        _, people, points = _POSES.unpack_from(data)
        values = np.frombuffer(data, "<f4", offset=_POSES.size)
        if len(values) != people * (1 + 4 + 3 * points):
            raise ValueError("an entry of a live session's poses is damaged")
        scores, boxes, keypoints = np.split(values, [people, 5 * people])
        return Entry(FramePoses(scores, boxes.reshape(people, 4), keypoints.reshape(people, points, 3)))
    reason = data[1:].decode("utf-8", "replace")
    return Entry(FramePoses.empty(), SUPERSEDED if fate is Fate.SUPERSEDED else f"not analysed live: {reason}")


def encode_box(
    session_id: UUID, pts: Iterable[int], sizes: Iterable[int], entries: Callable[[], Iterable[bytes]]
) -> Iterator[bytes]:
    """The box, in pieces.

    Args:
        pts, sizes: of each entry, in their order.
        entries: called for the entries themselves.
    """
    rows, at = bytearray(), 0
    for time, size in zip(pts, sizes, strict=True):
        rows += _ROW.pack(time, at, size)
        at += size
    yield _HEAD.pack(1, b"uuid", _HEAD.size + at + len(rows) + _TAIL.size, BOX.bytes)
    yield from entries()
    yield bytes(rows)
    yield _TAIL.pack(session_id.bytes, len(rows) // _ROW.size, _MAGIC)


class LiveRecord:
    """The box at the end of a file.

    Args:
        read_at: bytes of the file, by where they begin and how many.
        size_bytes: of the file.
        session_id: whose it has to be.

    Raises:
        ValueError: the file does not end with one, or with another session's.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], size_bytes: int, session_id: UUID) -> None:
        self._read_at = read_at
        tail = read_at(max(0, size_bytes - _TAIL.size), _TAIL.size)
        session, rows, magic = _TAIL.unpack(tail) if len(tail) == _TAIL.size else (b"", 0, b"")
        self._rows_at = size_bytes - _TAIL.size - rows * _ROW.size
        if magic != _MAGIC or session != session_id.bytes or self._rows_at < _HEAD.size:
            raise ValueError("the video does not hold this live session's poses")
        self._rows = rows
        last = self._row(rows - 1) if rows else (0, 0, 0)
        self._entries_at = self._rows_at - last[1] - last[2]
        if self._entries_at < _HEAD.size:
            raise ValueError("the video does not hold this live session's poses")

    def iter_entries(self, first_pts: int, end_pts: int) -> Iterator[tuple[int, Entry]]:
        """The entries of `[first_pts, end_pts)` with their pts, rising.

        Raises:
            ValueError: they are damaged.
        """
        number = self._find(first_pts)
        while number < self._rows:
            count = min(_ROWS_AT_ONCE, self._rows - number)
            data = self._read_at(self._rows_at + number * _ROW.size, count * _ROW.size)
            for pts, at, size in _ROW.iter_unpack(data):
                if pts >= end_pts:
                    return
                if size > LARGEST_ENTRY or at + size > self._rows_at - self._entries_at:
                    raise ValueError("the rows of a live session's poses are damaged")
                yield pts, decode_entry(self._read_at(self._entries_at + at, size))
            number += count

    def _row(self, number: int) -> tuple[int, int, int]:
        data = self._read_at(self._rows_at + number * _ROW.size, _ROW.size)
        if len(data) != _ROW.size:
            raise ValueError("the rows of a live session's poses are cut off")
        pts, at, size = _ROW.unpack(data)
        return pts, at, size

    def _find(self, pts: int) -> int:
        """The first row that is not before a time."""
        low, high = 0, self._rows
        while low < high:
            middle = (low + high) // 2
            if self._row(middle)[0] < pts:
                low = middle + 1
            else:
                high = middle
        return low
