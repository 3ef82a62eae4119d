"""Repairs the times of frames whose container has none, the same twice, or times that run backwards.

Every frame gets one time, times never decrease, and the container's own times are kept where possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipeline.core.frame_index import Int64s

#: A step back of more than this many frames is a reset of the clock; a smaller one is an error in one time.
_RESET_FRAMES = 16


def repair_times(shown_pts: Sequence[int | None], coded_pts: Sequence[int | None], usual_step: int = 1) -> Int64s:
    """The pts of frames in the order of display: int64 `(n,)`, never decreasing.

    Args:
        shown_pts: the decoder's times, in the order of display.
        coded_pts: the times of the packets in the order of decoding; an AVI knows only these.
        usual_step: from one frame to the next, for a file in which no frame has a time.

    Times that never decrease are unchanged. Where there are as many packets as frames and their times are distinct, the
    frames get these in rising order. Else missing times are interpolated between their neighbours, and after a reset of
    the clock, as at a join of two recordings, times continue from the one before.
    """
    if None not in shown_pts and _never_decreases(shown_pts):
        return np.array(shown_pts, np.int64)
    distinct = {pts for pts in coded_pts if pts is not None}
    if len(distinct) == len(coded_pts) == len(shown_pts) and _is_local(coded_pts):
        return np.array(sorted(distinct), np.int64)
    return _continue_after_resets(_fill(_without_outliers(shown_pts), usual_step))


def _never_decreases(pts: Sequence[int | None]) -> bool:
    values = np.array(pts, np.int64)
    return bool((np.diff(values) >= 0).all())


def _is_local(pts: Sequence[int | None]) -> bool:
    """Whether times are out of order only as far as B-frames put them."""
    values = np.array(pts, np.int64)
    return bool((np.maximum.accumulate(values) - values <= _RESET_FRAMES * _step(values)).all())


def _step(values: Int64s) -> int:
    """The usual time from one frame to the next, at least 1."""
    steps = np.diff(np.sort(values))
    steps = steps[steps > 0]
    return max(1, int(np.median(steps))) if len(steps) else 1


def _without_outliers(pts: Sequence[int | None]) -> list[int | None]:
    """The times without single ones that jump ahead, while the next one continues from before."""
    cleaned = list(pts)
    known = [i for i, value in enumerate(pts) if value is not None]
    values = np.array([pts[i] for i in known], np.int64)
    if len(values) < 3:
        return cleaned
    far = _RESET_FRAMES * _step(values)
    before, here, after = values[:-2], values[1:-1], values[2:]
    for at in np.flatnonzero((here - after > far) & (after >= before) & (after - before <= far)).tolist():
        cleaned[known[at + 1]] = None
    return cleaned


def _fill(pts: Sequence[int | None], usual_step: int) -> Int64s:
    known = [i for i, value in enumerate(pts) if value is not None]
    values = np.array([pts[i] for i in known], np.int64)
    if not known:
        return np.arange(len(pts), dtype=np.int64) * usual_step
    rises = (np.diff(values) / np.diff(known))[np.diff(values) > 0]
    step = max(1, round(float(np.median(rises)))) if len(rises) else usual_step
    filled = np.empty(len(pts), np.int64)
    filled[known] = values
    first, last = known[0], known[-1]
    filled[:first] = values[0] - step * np.arange(first, 0, -1)
    filled[last + 1 :] = values[-1] + step * np.arange(1, len(pts) - last)
    for a, b in pairwise(known):
        if b > a + 1:
            start, end = int(filled[a]), int(filled[b])
            # Across a reset of the clock there is nothing to interpolate.
            gap = (end - start) // (b - a) if end >= start else step
            filled[a + 1 : b] = start + gap * np.arange(1, b - a)
    return filled


def _continue_after_resets(values: Int64s) -> Int64s:
    step = _step(values)
    steps = np.diff(values)
    steps[steps < -_RESET_FRAMES * step] = step
    return np.maximum.accumulate(values[0] + np.concatenate([[0], np.cumsum(steps)]).astype(np.int64))
