"""The frame index: every frame of a video with its time.

Time is an integer `pts` in units of a rational `time_base` in seconds; frame rates are never used.
A frame's number is its place in the order of display, from 0.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Beyond this, differences and sums of pts could leave 64 bits; FFmpeg means "none" by the smallest int64.
LARGEST_PTS = 2**61

_MAGIC = b"PLIX"
_BY_POSITION = 0x80
_HEADER = struct.Struct("<4sBqqI")  # the version byte is 1, plus the flag
_PIECE_BYTES = 16 * 1024
_INFLATED_BYTES = 256 * 1024


def _frozen(values: Any, dtype: type, name: str, length: int | None = None) -> npt.NDArray[Any]:
    """A read-only copy; the same array where nobody can write to it."""
    owned = isinstance(values, np.ndarray) and values.base is None and not values.flags.writeable
    array: npt.NDArray[Any] = np.asarray(values, dtype=dtype) if owned else np.array(values, dtype=dtype)
    if array.ndim != 1 or (length is not None and len(array) != length):
        raise ValueError(f"{name} must be one-dimensional of length {length}, got shape {array.shape}")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """Every frame of a video in display order: what a run is checked against.

    Args:
        time_base: seconds per pts unit.
        pts: int64 `(n,)`, strictly increasing; with `indexed_by_position` it may repeat, but never decreases.
        keyframe: bool `(n,)`, whether decoding can start at this frame.
        position_bytes: int64 `(n,)`, where the frame's packet starts in the file, -1 where unknown.
        size_bytes: int64 `(n,)`, the packet's length.
        indexed_by_position: pts do not identify frames (in the container they are missing, doubled or run backwards),
            so a frame is identified by its position in one pass of the decoder from the start.

    Raises:
        ValueError: lengths differ, or pts do not increase.
    """

    time_base: Fraction
    pts: Int64s
    keyframe: Bools
    position_bytes: Int64s
    size_bytes: Int64s
    indexed_by_position: bool = False

    def __post_init__(self) -> None:
        n = len(self.pts)
        for name, dtype in (
            ("pts", np.int64),
            ("keyframe", np.bool_),
            ("position_bytes", np.int64),
            ("size_bytes", np.int64),
        ):
            object.__setattr__(self, name, _frozen(getattr(self, name), dtype, name, n))
        if n and (int(self.pts.min()) < -LARGEST_PTS or int(self.pts.max()) > LARGEST_PTS):
            raise ValueError(f"pts must lie within {LARGEST_PTS}")
        follows = np.greater_equal if self.indexed_by_position else np.greater
        if n and not follows(self.pts[1:], self.pts[:-1]).all():
            raise ValueError("pts must increase")

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def memory_bytes(self) -> int:
        """What its columns take."""
        return self.pts.nbytes + self.keyframe.nbytes + self.position_bytes.nbytes + self.size_bytes.nbytes

    def start_of(self, frame: int) -> int:
        """The frame at which decoding `frame` has to start: the last keyframe up to it, or frame 0."""
        if self.indexed_by_position:
            return 0
        before = np.flatnonzero(self.keyframe[: frame + 1])
        return int(before[-1]) if len(before) else 0

    def byte_range(self, first: int, stop: int) -> tuple[int, int]:
        """Start and end of the bytes of the packets of frames `[first, stop)`; `(0, 0)` where unknown."""
        positions = self.position_bytes[first:stop]
        if not len(positions) or (positions < 0).any():
            return 0, 0
        return int(positions.min()), int((positions + self.size_bytes[first:stop]).max())

    def to_bytes(self) -> bytes:
        """Serialise as deflated differences, a few bytes a frame."""
        columns = (
            np.diff(self.pts, prepend=np.int64(0)),
            self.keyframe.astype(np.int64),
            np.diff(self.position_bytes, prepend=np.int64(0)),
            self.size_bytes,
        )
        version = 1 | (_BY_POSITION if self.indexed_by_position else 0)
        header = _HEADER.pack(_MAGIC, version, self.time_base.numerator, self.time_base.denominator, len(self))
        deflate = zlib.compressobj(6)
        return b"".join((header, *(deflate.compress(c.astype("<i8").tobytes()) for c in columns), deflate.flush()))

    @classmethod
    def from_bytes(cls, data: bytes) -> FrameIndex:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: the bytes are not a frame index.
        """
        magic, version, numerator, denominator, n = _HEADER.unpack_from(data)
        if magic != _MAGIC or version & ~_BY_POSITION != 1:
            raise ValueError("not a frame index")
        column = _columns(memoryview(data)[_HEADER.size :], n)
        pts = next(column)
        np.cumsum(pts, out=pts)
        keyframe = next(column).astype(np.bool_)
        position_bytes = next(column)
        np.cumsum(position_bytes, out=position_bytes)
        size_bytes = next(column)
        for array in (pts, keyframe, position_bytes, size_bytes):
            array.setflags(write=False)
        return cls(
            time_base=Fraction(numerator, denominator),
            pts=pts,
            keyframe=keyframe,
            position_bytes=position_bytes,
            size_bytes=size_bytes,
            indexed_by_position=bool(version & _BY_POSITION),
        )


def _columns(deflated: memoryview, length: int) -> Iterator[Int64s]:
    """Inflate columns of so many int64, piece by piece: those of a long video are tens of megabytes.

    Raises:
        ValueError: there are no more.
    """
    inflate = zlib.decompressobj()
    rest: bytes | memoryview = deflated[:0]
    at = 0
    while True:
        column = np.empty(length, "<i8")
        room = column.view(np.uint8)
        filled = 0
        while filled < len(room):
            if not rest:
                rest, at = deflated[at : at + _PIECE_BYTES], at + _PIECE_BYTES
            ended = not rest
            piece = inflate.decompress(rest, min(len(room) - filled, _INFLATED_BYTES))
            rest = inflate.unconsumed_tail
            room[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
            if ended and not piece:
                raise ValueError("the frame index is cut off")
        yield column
