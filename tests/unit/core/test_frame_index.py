"""The frame index survives storage, and a plan cuts it without a gap, a double, or much work done twice."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.chunk_plan import frames_to_decode, plan_chunks
from pipeline.core.frame_index import FrameIndex


def regular(n: int, gop: int) -> FrameIndex:
    """`n` frames, a keyframe every `gop`."""
    zeros = np.zeros(n, np.int64)
    return FrameIndex(Fraction(1, 30), np.arange(n), np.arange(n) % gop == 0, zeros, zeros)


@st.composite
def indexes(draw: st.DrawFn) -> FrameIndex:
    indexed_by_position = draw(st.booleans())
    steps = draw(st.lists(st.integers(0 if indexed_by_position else 1, 10_000), min_size=1, max_size=400))
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
        indexed_by_position=indexed_by_position,
    )


@given(indexes())
def test_an_index_reads_back_as_it_was_written(index: FrameIndex) -> None:
    back = FrameIndex.from_bytes(index.to_bytes())
    assert (back.time_base, back.indexed_by_position) == (index.time_base, index.indexed_by_position)
    for column in ("pts", "keyframe", "position_bytes", "size_bytes"):
        assert np.array_equal(getattr(back, column), getattr(index, column))


@given(indexes(), st.integers(1, 300), st.sampled_from([0.0, 0.25, 1.0]))
def test_a_plan_covers_every_frame_once_and_wastes_little(
    index: FrameIndex, target_frames: int, max_waste: float
) -> None:
    plans = plan_chunks(index, target_frames, max_waste)
    covered = [p for plan in plans for p in range(plan.first_frame, plan.first_frame + plan.frames)]
    assert covered == list(range(len(index)))
    for plan in plans:
        start = index.start_of(plan.first_frame)
        assert plan.preroll == plan.first_frame - start
        assert plan.seek_pts == index.pts[start]
        assert plan.start_pts == index.pts[plan.first_frame]
        assert index.keyframe[start]
        assert not index.indexed_by_position or start == 0
    assert frames_to_decode(plans) <= (1 + max_waste) * len(index)
    if not index.indexed_by_position:
        by_pts = [int(p) for plan in plans for p in index.pts if plan.start_pts <= p < plan.end_pts]
        assert by_pts == index.pts.tolist()


def test_cuts_fall_on_keyframes_where_those_are_near() -> None:
    assert [plan.first_frame for plan in plan_chunks(regular(600, 50), 100)] == [0, 100, 200, 300, 400, 500]
    assert [plan.first_frame for plan in plan_chunks(regular(600, 50), 120)] == [0, 100, 200, 300, 400, 500]
    assert [plan.first_frame for plan in plan_chunks(regular(1000, 250), 120)] == [0, 250, 500, 750]
    assert all(plan.preroll == 0 for gop in (1, 12, 50, 250) for plan in plan_chunks(regular(900, gop), 120))


def test_every_frame_a_keyframe_gives_even_chunks() -> None:
    assert {plan.frames for plan in plan_chunks(regular(1200, 1), 120)} == {120}


def test_one_keyframe_for_all_is_cut_where_the_budget_ends() -> None:
    plans = plan_chunks(regular(1000, 1000), 100)
    assert [plan.first_frame for plan in plans] == [0, 250]
    assert frames_to_decode(plans) == 1250


def test_long_stretches_share_the_budget_evenly() -> None:
    plans = plan_chunks(regular(10_000, 1000), 100)
    assert {plan.frames for plan in plans} == {250, 750}
    assert len(plans) == 20


def test_a_little_waste_cuts_one_long_stretch_among_short_ones_to_the_target() -> None:
    n = 100_000
    keyframe = np.arange(n) % 50 == 0
    keyframe[50_001:51_000] = False
    zeros = np.zeros(n, np.int64)
    plans = plan_chunks(FrameIndex(Fraction(1, 30), np.arange(n), keyframe, zeros, zeros), 100)
    assert max(plan.frames for plan in plans) <= 150


@given(indexes(), st.integers(1, 300), st.integers(1, 60))
def test_a_short_first_chunk_keeps_every_promise(index: FrameIndex, target_frames: int, first_frames: int) -> None:
    plain, sooner = plan_chunks(index, target_frames), plan_chunks(index, target_frames, first_frames=first_frames)
    assert [p for plan in sooner for p in range(plan.first_frame, plan.first_frame + plan.frames)] == list(
        range(len(index))
    )
    assert frames_to_decode(sooner) <= 1.25 * len(index)
    assert {plan.first_frame for plan in plain} <= {plan.first_frame for plan in sooner}
    assert len(sooner) - len(plain) in {0, 1}
    for plan in sooner:
        assert plan.preroll == plan.first_frame - index.start_of(plan.first_frame)


def test_the_first_chunk_is_short_where_that_costs_little() -> None:
    def first(n: int, gop: int) -> int:
        return plan_chunks(regular(n, gop), 120, first_frames=15)[0].frames

    assert first(1000, 250) == 15, "15 of 1,000 frames are decoded twice"
    assert first(1000, 12) == 12, "a keyframe is near: nothing is"
    assert first(1000, 20) == 20
    assert first(25, 25) == 25, "a video as short as that is one chunk"
    assert first(40, 40) == 40, "15 of 40 would be too much"


def test_what_is_no_index_is_refused() -> None:
    with pytest.raises(ValueError, match="must increase"):
        FrameIndex(Fraction(1), np.array([1, 1]), np.ones(2, bool), np.zeros(2), np.zeros(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must increase"):
        FrameIndex(Fraction(1), np.array([2, 1]), np.ones(2, bool), np.zeros(2), np.zeros(2), indexed_by_position=True)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="length 2"):
        FrameIndex(Fraction(1), np.array([1, 2]), np.ones(3, bool), np.zeros(2), np.zeros(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a frame index"):
        FrameIndex.from_bytes(b"x" * 64)
    with pytest.raises(ValueError, match="cut off"):
        FrameIndex.from_bytes(regular(100, 10).to_bytes()[:-8])
    with pytest.raises(ValueError, match="1 or more"):
        plan_chunks(FrameIndex(Fraction(1), np.array([1]), np.ones(1, bool), np.zeros(1), np.zeros(1)), 0)  # type: ignore[arg-type]


def test_reading_an_index_takes_little_more_memory_than_the_index() -> None:
    index = regular(400_000, 250)
    data = index.to_bytes()
    tracemalloc.start()
    back = FrameIndex.from_bytes(data)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert back.memory_bytes == 25 * len(index)
    assert peak_bytes < 32 * len(index)
