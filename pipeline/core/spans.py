"""Frames in time: the index of a video, and the chunks that a run is cut into.

Time is an integer `pts` in units of a rational `time_base` in seconds; no frame rate is ever taken as truth.
A frame's number is its rank by pts, from 0.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Beyond this, differences and sums of pts could leave 64 bits; FFmpeg means "none" by the smallest int64.
LARGEST_PTS = 2**61

_MAGIC = b"PLIX\x01"
_HEADER = struct.Struct("<5sqqI")


def _frozen(values: Any, dtype: type, name: str, length: int | None = None) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.array(values, dtype=dtype)
    if array.ndim != 1 or (length is not None and len(array) != length):
        raise ValueError(f"{name} must be one-dimensional of length {length}, got shape {array.shape}")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """Every frame of a video in display order: the ledger that a run is held against.

    Args:
        time_base: seconds per pts unit.
        pts: int64 `(n,)`, strictly increasing.
        keyframe: bool `(n,)`, whether decoding can start at this frame.
        position_bytes: int64 `(n,)`, where the frame's packet starts in the file, -1 where unknown.
        size_bytes: int64 `(n,)`, the packet's length.

    Raises:
        ValueError: lengths differ, or pts do not increase.
    """

    time_base: Fraction
    pts: Int64s
    keyframe: Bools
    position_bytes: Int64s
    size_bytes: Int64s

    def __post_init__(self) -> None:
        n = len(self.pts)
        for name, dtype in (
            ("pts", np.int64),
            ("keyframe", np.bool_),
            ("position_bytes", np.int64),
            ("size_bytes", np.int64),
        ):
            object.__setattr__(self, name, _frozen(getattr(self, name), dtype, name, n))
        if n and (abs(int(self.pts[0])) > LARGEST_PTS or abs(int(self.pts[-1])) > LARGEST_PTS):
            raise ValueError(f"pts must lie within {LARGEST_PTS}")
        if n and not (np.diff(self.pts) > 0).all():
            raise ValueError("pts must strictly increase")

    def __len__(self) -> int:
        return len(self.pts)

    def to_bytes(self) -> bytes:
        """Compact form: differences, deflated. About 3 bytes a frame."""
        columns = (
            np.diff(self.pts, prepend=np.int64(0)),
            self.keyframe.astype(np.int64),
            np.diff(self.position_bytes, prepend=np.int64(0)),
            self.size_bytes,
        )
        header = _HEADER.pack(_MAGIC, self.time_base.numerator, self.time_base.denominator, len(self))
        return header + zlib.compress(b"".join(c.astype("<i8").tobytes() for c in columns), 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> FrameIndex:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: the bytes are not a frame index.
        """
        magic, numerator, denominator, n = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError("not a frame index")
        columns = np.frombuffer(zlib.decompress(data[_HEADER.size :]), "<i8").reshape(4, n)
        return cls(
            time_base=Fraction(numerator, denominator),
            pts=np.cumsum(columns[0]),
            keyframe=columns[1].astype(np.bool_),
            position_bytes=np.cumsum(columns[2]),
            size_bytes=columns[3],
        )


@dataclass(frozen=True)
class ChunkPlan:
    """One piece of a run: the frames whose pts lie in the half-open `[start_pts, end_pts)`.

    `seek_pts` is the pts of the keyframe at which decoding starts; where it is before `start_pts`, the frames
    between are decoded and dropped.
    """

    idx: int
    first_frame: int
    frames: int
    start_pts: int
    end_pts: int
    seek_pts: int


def plan_chunks(index: FrameIndex, target_frames: int, max_waste: float = 0.25) -> list[ChunkPlan]:
    """Cut a video into chunks of about `target_frames` frames.

    A cut at a keyframe is free. Where keyframes are far apart a cut falls between them, and the frames from the
    keyframe to the cut are decoded twice; those stay under `max_waste` of the video.

    Raises:
        ValueError: `target_frames` is under 1.
    """
    if target_frames < 1:
        raise ValueError(f"target_frames must be 1 or more, got {target_frames}")
    n = len(index)
    if not n:
        return []
    keys = np.flatnonzero(index.keyframe)
    budget_frames = int(n * max_waste)
    cuts = [0]
    while cuts[-1] + target_frames < n:
        ideal = cuts[-1] + target_frames
        upto = keys[(keys > cuts[-1]) & (keys <= ideal + target_frames // 2)]
        if len(upto) and upto[-1] >= cuts[-1] + (target_frames + 1) // 2:
            cut = int(upto[np.argmin(np.abs(upto - ideal))])
        else:
            before = keys[keys <= ideal]
            waste = ideal - int(before[-1]) if len(before) else ideal
            following = keys[keys > ideal]
            if waste <= budget_frames:
                budget_frames -= waste
                cut = ideal
            elif len(following):
                cut = int(following[0])
            else:
                break
        cuts.append(cut)
    bounds = [*cuts, n]
    plans = []
    for i, (first, stop) in enumerate(pairwise(bounds)):
        before = keys[keys <= first]
        plans.append(
            ChunkPlan(
                idx=i,
                first_frame=first,
                frames=stop - first,
                start_pts=int(index.pts[first]),
                end_pts=int(index.pts[stop]) if stop < n else int(index.pts[-1]) + 1,
                seek_pts=int(index.pts[before[-1]]) if len(before) else int(index.pts[0]),
            )
        )
    return plans
