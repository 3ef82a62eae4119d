"""The frame index survives storage, and a plan cuts it without a gap, a double, or much work done twice."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.spans import FrameIndex, plan_chunks


@st.composite
def indexes(draw: st.DrawFn) -> FrameIndex:
    steps = draw(st.lists(st.integers(1, 10_000), min_size=1, max_size=400))
    start = draw(st.integers(-(10**12), 10**12))
    n = len(steps)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    keyframe = rng.random(n) < draw(st.sampled_from([0.0, 0.01, 0.1, 1.0]))
    keyframe[0] = True
    return FrameIndex(
        time_base=Fraction(draw(st.integers(1, 1001)), draw(st.integers(1, 90_000))),
        pts=start + np.cumsum(steps),
        keyframe=keyframe,
        position_bytes=rng.integers(-1, 2**40, n),
        size_bytes=rng.integers(0, 2**24, n),
    )


@given(indexes())
def test_an_index_reads_back_as_it_was_written(index: FrameIndex) -> None:
    back = FrameIndex.from_bytes(index.to_bytes())
    assert back.time_base == index.time_base
    for column in ("pts", "keyframe", "position_bytes", "size_bytes"):
        assert np.array_equal(getattr(back, column), getattr(index, column))


@given(indexes(), st.integers(1, 300))
def test_a_plan_covers_every_frame_once_and_wastes_little(index: FrameIndex, target_frames: int) -> None:
    plans = plan_chunks(index, target_frames)
    covered = [p for plan in plans for p in range(plan.first_frame, plan.first_frame + plan.frames)]
    assert covered == list(range(len(index)))
    by_pts = [int(p) for plan in plans for p in index.pts if plan.start_pts <= p < plan.end_pts]
    assert by_pts == index.pts.tolist()
    twice = 0
    for plan in plans:
        seek = int(np.searchsorted(index.pts, plan.seek_pts))
        assert index.keyframe[seek]
        assert seek <= plan.first_frame
        twice += plan.first_frame - seek
    assert twice <= 0.25 * len(index)


def test_cuts_fall_on_keyframes_where_those_are_near() -> None:
    n = 600
    index = FrameIndex(Fraction(1, 30), np.arange(n), np.arange(n) % 50 == 0, np.zeros(n), np.zeros(n))  # type: ignore[arg-type]
    assert [plan.first_frame for plan in plan_chunks(index, 100)] == [0, 100, 200, 300, 400, 500]
    assert all(plan.seek_pts == plan.start_pts for plan in plan_chunks(index, 120))


def test_one_keyframe_for_all_is_cut_within_its_budget() -> None:
    n = 1000
    index = FrameIndex(Fraction(1, 30), np.arange(n), np.arange(n) == 0, np.zeros(n), np.zeros(n))  # type: ignore[arg-type]
    plans = plan_chunks(index, 100)
    assert [plan.first_frame for plan in plans] == [0, 100]
    assert plans[1].seek_pts == 0


def test_what_is_no_index_is_refused() -> None:
    with pytest.raises(ValueError, match="strictly increase"):
        FrameIndex(Fraction(1), np.array([1, 1]), np.ones(2, bool), np.zeros(2), np.zeros(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="length 2"):
        FrameIndex(Fraction(1), np.array([1, 2]), np.ones(3, bool), np.zeros(2), np.zeros(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a frame index"):
        FrameIndex.from_bytes(b"x" * 64)
    with pytest.raises(ValueError, match="1 or more"):
        plan_chunks(FrameIndex(Fraction(1), np.array([1]), np.ones(1, bool), np.zeros(1), np.zeros(1)), 0)  # type: ignore[arg-type]
