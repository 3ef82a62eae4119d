"""The times of a video's frames for a browser, and the segments in which it fetches their poses.

A browser finds the frame that it has decoded by its time in this table; nothing here knows a frame rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.core.frame_index import FrameIndex, Int64s
from pipeline.core.packed import pack

MAGIC = b"PLFT"
#: Of the poses that are fetched together; fewer where the frames are dense.
SEGMENT_S = 10
SEGMENT_FRAMES = 600


def plan_segments(index: FrameIndex) -> Int64s:
    """The first frame of each segment, int64 `(segments,)`.

    A segment ends `SEGMENT_S` after its first frame, or after `SEGMENT_FRAMES`; a gap of hours makes no empty ones.
    """
    starts, first, frames = [], 0, len(index)
    span_pts = math.ceil(SEGMENT_S / index.time_base)
    while first < frames:
        starts.append(first)
        later = int(np.searchsorted(index.pts, int(index.pts[first]) + span_pts, "left"))
        first = min(max(later, first + 1), first + SEGMENT_FRAMES)
    return np.array(starts, np.int64)


def encode_frame_table(index: FrameIndex, header: Mapping[str, Any]) -> bytes:
    """The table as `PLFT`: the header with what a browser needs to know of times, then the differences between the
    pts of neighbours, uint32 `(frames - 1,)`, and their upper halves likewise where `wide` says so.

    `first_pts` is text, for it may exceed what a browser's numbers hold; all others are relative to it.
    """
    steps = np.diff(index.pts).astype("<u8")
    wide = bool(len(steps) and int(steps.max()) >= 2**32)
    halves = [steps & 0xFFFFFFFF, *([steps >> 32] if wide else [])]
    times = {
        "version": 1,
        "frames": len(index),
        "time_base": [index.time_base.numerator, index.time_base.denominator],
        "first_pts": str(int(index.pts[0])) if len(index) else "0",
        "wide": wide,
        "segments": plan_segments(index).tolist(),
    }
    return pack(MAGIC, {**header, **times}, [half.astype("<u4") for half in halves])
