"""Plans the chunks of a run: of about equal length, starting at keyframes where possible.

A chunk that starts between keyframes is decoded from the keyframe before, so some frames are decoded twice. That waste
is bounded for the video as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.core.frame_index import FrameIndex, Int64s

MAX_WASTE = 0.25
#: A GOP up to this many times the target is not cut.
LONG_GOP = 3


@dataclass(frozen=True)
class ChunkPlan:
    """One chunk of a run: the frames whose pts lie in the half-open `[start_pts, end_pts)`.

    `seek_pts` is the pts of the frame at which decoding starts; where it is before `start_pts`, the `preroll`
    frames between are decoded and dropped.
    """

    idx: int
    first_frame: int
    frames: int
    start_pts: int
    end_pts: int
    seek_pts: int
    preroll: int = 0


def plan_chunks(
    index: FrameIndex, target_frames: int, max_waste: float = MAX_WASTE, first_frames: int | None = None
) -> list[ChunkPlan]:
    """Cut a video into chunks of about `target_frames` frames.

    GOPs much longer than the target are cut into the shortest pieces that keep the frames decoded twice under
    `max_waste` of the video; with one keyframe for a whole video that is one cut.

    Args:
        first_frames: about the length of the first chunk, so that the first poses appear soon.

    Raises:
        ValueError: `target_frames` is under 1.
    """
    if target_frames < 1:
        raise ValueError(f"target_frames must be 1 or more, got {target_frames}")
    n = len(index)
    if not n:
        return []
    starts = np.zeros(1, np.int64) if index.indexed_by_position else np.flatnonzero(index.keyframe)
    starts = np.union1d(starts, [0])
    bounds = _merge(_bounds(starts, n, target_frames, int(n * max_waste)), target_frames)
    plans = _plans(index, starts, bounds)
    if first_frames is not None:
        sooner = _plans(index, starts, _split_first(bounds, starts, first_frames))
        if frames_to_decode(sooner) <= (1 + max_waste) * n:
            return sooner
    return plans


def _plans(index: FrameIndex, starts: Int64s, bounds: Sequence[int]) -> list[ChunkPlan]:
    n, plans = len(index), []
    for i, (first, stop) in enumerate(pairwise(bounds)):
        start = int(starts[np.searchsorted(starts, first, side="right") - 1])
        plans.append(
            ChunkPlan(
                idx=i,
                first_frame=first,
                frames=stop - first,
                start_pts=int(index.pts[first]),
                end_pts=int(index.pts[stop]) if stop < n else int(index.pts[-1]) + 1,
                seek_pts=int(index.pts[start]),
                preroll=first - start,
            )
        )
    return plans


def frames_to_decode(plans: Sequence[ChunkPlan]) -> int:
    """How many frames are decoded for a plan; those decoded twice count twice."""
    return sum(plan.frames + plan.preroll for plan in plans)


def _bounds(starts: Int64s, n: int, target: int, budget_frames: int) -> Int64s:
    """The possible cuts: every keyframe, and in long GOPs as many as the budget allows. Ends with `n`."""
    lengths = np.diff(starts, append=n)
    long = lengths > LONG_GOP * target
    pieces = lengths[long]

    def waste(longest: int) -> int:
        cuts = -(-pieces // longest) - 1
        return int((cuts * pieces - longest * cuts * (cuts + 1) // 2).sum())

    shortest, longest = target, max(n, target)
    while shortest < longest:
        middle = (shortest + longest) // 2
        if waste(middle) <= budget_frames:
            longest = middle
        else:
            shortest = middle + 1
    inside = [
        np.arange(start + length - (-(-length // longest) - 1) * longest, start + length, longest)
        for start, length in zip(starts[long].tolist(), pieces.tolist(), strict=True)
    ]
    return np.unique(np.concatenate([starts, *inside, [n]])).astype(np.int64)


def _split_first(bounds: Sequence[int], starts: Int64s, first_frames: int) -> list[int]:
    """Add a cut near `first_frames`: at a keyframe if one is near, else exactly there."""
    if bounds[1] < 2 * first_frames:
        return list(bounds)
    near = starts[(starts > first_frames // 2) & (starts < 2 * first_frames)]
    cut = int(near[np.abs(near - first_frames).argmin()]) if len(near) else first_frames
    return sorted({*bounds, cut})


def _merge(bounds: Int64s, target: int) -> list[int]:
    """Select the cuts nearest to multiples of the target."""
    cuts, at, last = [0], 0, len(bounds) - 1
    while at < last:
        ideal = cuts[-1] + target
        after = min(int(np.searchsorted(bounds, ideal)), last)
        before = after - 1
        nearer_before = before > at and ideal - bounds[before] <= bounds[after] - ideal
        at = before if nearer_before else max(after, at + 1)
        cuts.append(int(bounds[at]))
    return cuts
