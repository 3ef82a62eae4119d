"""The times that a browser reads are those of the frame index, and its segments hold every frame once."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.frame_index import FrameIndex
from pipeline.core.frame_table import SEGMENT_FRAMES, SEGMENT_S, encode_frame_table, plan_segments
from tests.support.packed_reader import read_frame_table


def _index(pts: list[int], time_base: Fraction) -> FrameIndex:
    zeros = np.zeros(len(pts), np.int64)
    return FrameIndex(time_base, np.array(pts, np.int64), zeros.astype(bool), zeros, zeros)


_bases = st.sampled_from([Fraction(1, 30), Fraction(1001, 30000), Fraction(1, 90_000), Fraction(1, 1_000_000)])
_steps = st.lists(st.one_of(st.integers(1, 5), st.integers(1, 2**21), st.integers(2**32, 2**34)), max_size=40)


@given(st.integers(-(2**60), 2**60), _steps, _bases)
def test_every_pts_comes_back(first: int, steps: list[int], time_base: Fraction) -> None:
    pts = list(accumulate(steps, initial=first))
    header, read = read_frame_table(encode_frame_table(_index(pts, time_base), {"more": 1}))
    assert read == pts
    assert Fraction(*header["time_base"]) == time_base
    assert (header["frames"], header["more"]) == (len(pts), 1)


@given(st.integers(-1000, 1000), _steps, _bases)
def test_segments_hold_every_frame_once_and_no_more_than_their_time(
    first: int, steps: list[int], time_base: Fraction
) -> None:
    pts = list(accumulate(steps, initial=first))
    starts = plan_segments(_index(pts, time_base)).tolist()
    assert starts[0] == 0
    for start, stop in zip(starts, [*starts[1:], len(pts)], strict=True):
        assert start < stop
        assert (pts[stop - 1] - pts[start]) * time_base < SEGMENT_S
        assert stop == len(pts) or (pts[stop] - pts[start]) * time_base >= SEGMENT_S


def test_dense_frames_are_cut_by_their_number() -> None:
    assert plan_segments(_index(list(range(1500)), Fraction(1, 240))).tolist() == [
        0,
        SEGMENT_FRAMES,
        2 * SEGMENT_FRAMES,
    ]


def test_a_gap_of_hours_makes_no_empty_segments() -> None:
    assert plan_segments(_index([0, 1, 10**6, 10**6 + 1], Fraction(1, 30))).tolist() == [0, 2]


def test_a_video_without_frames_has_none() -> None:
    assert read_frame_table(encode_frame_table(_index([], Fraction(1, 30)), {}))[1] == []
