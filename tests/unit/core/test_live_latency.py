"""Clocks that are brought together, and the stages of a frame, which add up."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.live_clock import ClockOffset
from pipeline.core.live_latency import BUDGET_MS, STAGES, TOTAL, Sent, Spread, spread_of, spreads_of, trip_of
from pipeline.core.live_results import Fate, Result

RESULT = Result(7, Fate.ANALYSED, 1000.0, 91_036.0, 91_076.0, decode_ms=2.0, wait_ms=4.0, process_ms=30.0)
SENT = Sent(captured_ms=1000.0, capture_ms=3.0, encode_ms=2.0, sent_ms=1015.0)


def test_the_offset_is_that_of_the_quickest_exchange() -> None:
    clock = ClockOffset()
    assert clock.ms is None
    clock.note(0, 5100, 5101, 201)  # slow one way: 100 ms there, 100 ms back
    assert clock.ms == 5000
    clock.note(1000, 6090, 6091, 1101)  # 90 ms there, 10 back: wrong by 40
    clock.note(2000, 7010, 7012, 2022)  # 10 and 10
    assert clock.ms == 5000
    assert clock.round_trip_ms == 20


def test_an_old_exchange_is_forgotten() -> None:
    clock = ClockOffset()
    clock.note(0, 100, 100, 0)
    for number in range(8):
        clock.note(number, number + 205, number + 205, number + 10)
    assert clock.ms == 200


@given(offset=st.floats(-1e6, 1e6), seed=st.integers(0, 2**32))
def test_the_offset_is_wrong_by_at_most_half_of_the_quickest_round_trip(offset: float, seed: int) -> None:
    chance, clock, quickest_ms = random.Random(seed), ClockOffset(), float("inf")
    for number in range(6):
        there, back = chance.uniform(0, 50), chance.uniform(0, 50)
        asked = 1000.0 * number
        clock.note(asked, asked + there + offset, asked + there + offset + 1, asked + there + 1 + back)
        quickest_ms = min(quickest_ms, there + back)
    assert clock.ms is not None
    assert abs(clock.ms - offset) <= quickest_ms / 2 + 1e-6


def test_the_stages_of_a_frame_add_up_to_its_total() -> None:
    trip = trip_of(SENT, RESULT, came_ms=1098.0, offset_ms=90_000.0)
    assert trip == {
        "capture": 3,
        "encode": 2,
        "upload": 21,
        # 10 before it was encoded, and 8 on the server that are neither decoding nor the device call.
        "wait": 18,
        "decode": 2,
        "process": 30,
        "download": 22,
        TOTAL: 98,
    }
    assert list(trip) == [*(stage for stage in STAGES if stage != "render"), TOTAL]
    assert sum(ms for stage, ms in trip.items() if stage != TOTAL) == trip[TOTAL]


def test_a_wrong_offset_moves_time_between_upload_and_download_alone() -> None:
    right = trip_of(SENT, RESULT, 1098.0, 90_000.0)
    wrong = trip_of(SENT, RESULT, 1098.0, 90_007.0)
    assert wrong == {**right, "upload": 14, "download": 29}


def test_the_spread_is_by_nearest_rank() -> None:
    assert spread_of([]) is None
    assert spread_of([5.0]) == Spread(5, 5)
    assert spread_of([float(n) for n in range(100, 0, -1)]) == Spread(50, 95)
    trips = [trip_of(SENT, replace(RESULT, process_ms=ms), 1098.0, 90_000.0) for ms in (10.0, 20.0, 30.0)]
    assert spreads_of(trips)["process"] == Spread(20, 30)
    assert spreads_of([]) == {}


def test_the_budget_names_stages_that_there_are() -> None:
    assert set(BUDGET_MS) <= {*STAGES, TOTAL}
    assert sum(ms for stage, ms in BUDGET_MS.items() if stage != TOTAL) == pytest.approx(73)  # 5 are left for the rest
