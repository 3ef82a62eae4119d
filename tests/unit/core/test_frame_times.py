"""Frames without usable times of their own get ones that never decrease, and the container's where it has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.frame_times import repair_times

NONE: list[int | None] = []


@pytest.mark.parametrize(
    ("shown", "coded", "mended"),
    [
        ([1, 2, 2, 4], NONE, [1, 2, 2, 4]),
        ([-5, 0, 7, 100_000], NONE, [-5, 0, 7, 100_000]),
        ([1, 2, 4, 3, 5, 6], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
        ([None, None, None], [0, 4, 2], [0, 2, 4]),
        ([None, None, None], [None, None, None], [0, 1, 2]),
        ([0, None, None, 30], NONE, [0, 10, 20, 30]),
        ([None, 10, 20, None], NONE, [0, 10, 20, 30]),
        ([0, None, None, 30, None, None, 60, None], NONE, [0, 10, 20, 30, 40, 50, 60, 70]),
        ([*range(0, 400, 10), *range(0, 400, 10)], NONE, list(range(0, 800, 10))),
        ([*range(0, 400, 10), *range(0, 400, 10)], [*range(0, 400, 10), *range(0, 400, 10)], list(range(0, 800, 10))),
        ([*range(5000, 5400, 10), *range(0, 400, 10)], [*range(5000, 5400, 10), *range(0, 400, 10)],
         list(range(5000, 5800, 10))),
        ([0, 10, 20, 15, 30, 40], [0, 10, 20, 20, 30, 40], [0, 10, 20, 20, 30, 40]),
        ([0, 10, 20, 10**9, 40, 50], NONE, [0, 10, 20, 30, 40, 50]),
    ],
    ids=["doubled", "rising", "avi with b-frames", "packets know", "nobody knows", "gap", "ends", "sparse",
         "clock set anew", "and packets say so too", "set back behind the start", "a slip", "a stray"],
)  # fmt: skip
def test_mended(shown: list[int | None], coded: list[int | None], mended: list[int]) -> None:
    assert repair_times(shown, coded).tolist() == mended


def test_where_no_frame_has_a_time_the_usual_step_is_taken() -> None:
    assert repair_times([None, None, None], [], 3000).tolist() == [0, 3000, 6000]


maybe = st.lists(st.one_of(st.none(), st.integers(-(10**12), 10**12)), min_size=1, max_size=60)


@given(maybe, maybe)
def test_whatever_comes_times_never_decrease(shown: list[int | None], coded: list[int | None]) -> None:
    mended = repair_times(shown, coded)
    assert len(mended) == len(shown)
    assert (np.diff(mended) >= 0).all()
