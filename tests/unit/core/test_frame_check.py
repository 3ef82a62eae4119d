"""The check that a run's frames are the video's goes red on each kind of damage, and on nothing else."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.frame_check import Findings, FrameCheck
from pipeline.core.frame_index import FrameIndex

PTS = [-3, 0, 5, 6, 40]
Rows = list[tuple[int, int]]
WHOLE: Rows = list(enumerate(PTS))


def index_of(pts: list[int], *, indexed_by_position: bool = False) -> FrameIndex:
    zeros = np.zeros(len(pts), np.int64)
    return FrameIndex(Fraction(1, 30), np.array(pts), zeros == 0, zeros, zeros, indexed_by_position)


def check(rows: Rows, index: FrameIndex) -> Findings:
    ledger = FrameCheck(index)
    for frame, pts in sorted(rows):
        ledger.add(frame, pts)
    return ledger.findings()


def test_the_whole_video_is_clean() -> None:
    found = check(WHOLE, index_of(PTS))
    assert found.clean
    assert str(found) == "every frame once, in order"


@pytest.mark.parametrize(
    ("rows", "kinds", "words"),
    [
        (WHOLE[:2] + WHOLE[3:], {"lost": 1}, "1 missing (frame 2 at pts 5 has no row)"),
        ([], {"lost": 5}, "5 missing"),
        ([*WHOLE, (5, 6)], {"doubled": 1}, "1 doubled (frame 3 at pts 6 has several rows)"),
        ([*WHOLE, (5, 41)], {"foreign": 1}, "1 foreign (row 5 at pts 41 is no frame of the video)"),
        ([*WHOLE[:4], (4, 41)], {"foreign": 1, "lost": 1}, "1 missing, 1 foreign"),
        ([*WHOLE[:4], (4, 6)], {"doubled": 1, "lost": 1}, "1 missing, 1 doubled"),
        ([(0, 0), (1, -3), *WHOLE[2:]], {"misplaced": 2}, "2 out of order (row 0 has the time of another frame"),
        ([(-1, -3), *WHOLE[1:]], {"misplaced": 1}, "1 out of order"),
    ],
    ids=["deleted", "empty", "doubled", "foreign", "shifted", "shifted onto its neighbour", "swapped", "renumbered"],
)
def test_each_damage_is_named(rows: Rows, kinds: dict[str, int], words: str) -> None:
    found = check(rows, index_of(PTS))
    assert not found.clean
    assert {k: getattr(found, k) for k in ("lost", "doubled", "foreign", "misplaced") if getattr(found, k)} == kinds
    assert words in str(found)


def test_counted_frames_may_share_a_time() -> None:
    index = index_of([0, 1, 1, 2], indexed_by_position=True)
    assert check([(0, 0), (1, 1), (2, 1), (3, 2)], index).clean
    assert check([(0, 0), (1, 1), (3, 2)], index).lost == 1


@given(st.lists(st.tuples(st.integers(-2, 8), st.integers(-4, 42)), unique_by=lambda row: row[0], max_size=9))
def test_only_the_whole_video_is_clean(rows: Rows) -> None:
    assert check(rows, index_of(PTS)).clean == (sorted(rows) == WHOLE)
