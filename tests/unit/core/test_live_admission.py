"""Who is let into a live process, and what is done under overload, by numbers alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.live_admission import (
    HEAD_ROOM_S,
    HYBRID_EVERY_MS,
    OVER_S,
    SLOWEST_EVERY_MS,
    Change,
    Demand,
    Governor,
    Speed,
    foretell_p95_ms,
    may_enter,
    room_for,
)
from pipeline.core.live_protocol import Mode

BUDGET_MS = 100.0
CPU = Speed(call_ms=32, parallel=2)
GPU = Speed(call_ms=8, batch=8, parallel=2)


def full(number: int) -> Demand:
    return Demand(number, number, Mode.FULL, Mode.FULL)


def hybrid(number: int, every_ms: int = HYBRID_EVERY_MS) -> Demand:
    return Demand(number, number, Mode.FULL, Mode.HYBRID, every_ms=every_ms)


def let_in(speed: Speed, make: type[Demand] | object = full) -> int:
    inside: list[Demand] = []
    while len(inside) < 1000 and may_enter(speed, BUDGET_MS, inside, make(len(inside))):  # type: ignore[operator]
        inside.append(make(len(inside)))  # type: ignore[operator]
    return len(inside)


def test_as_many_are_let_in_as_the_device_serves_within_the_budget() -> None:
    assert let_in(CPU) == 4  # two calls of 32 ms before one's own
    assert let_in(replace(CPU, call_ms=64)) == 1
    assert let_in(GPU) == 176  # eleven calls of 16 frames
    assert let_in(replace(CPU, call_ms=180)) == 1  # over the budget, and alone
    assert let_in(replace(CPU, call_ms=500)) == 0  # not five frames a second
    assert let_in(CPU, hybrid) > 2 * let_in(CPU)


def test_each_gets_five_frames_a_second_whatever_the_budget() -> None:
    inside = [full(number) for number in range(12)]
    assert may_enter(CPU, math.inf, inside[:11], inside[11])
    assert not may_enter(CPU, math.inf, inside, full(12))


@given(st.floats(1, 400), st.integers(1, 32), st.integers(1, 8), st.lists(st.booleans(), max_size=12))
def test_one_more_never_makes_it_faster(call_ms: float, batch: int, parallel: int, kinds: list[bool]) -> None:
    speed = Speed(call_ms, batch, parallel)
    demands = [full(n) if kind else hybrid(n) for n, kind in enumerate(kinds)]
    foretold = foretell_p95_ms(speed, demands)
    assert speed.decode_ms + call_ms <= foretold < math.inf
    assert foretell_p95_ms(speed, [*demands, hybrid(99)]) >= foretold - 1e-6
    assert foretell_p95_ms(speed, [*demands, full(99)]) >= foretell_p95_ms(speed, [*demands, hybrid(99)]) - 1e-6


def test_who_is_refused_is_offered_less() -> None:
    inside = [full(number) for number in range(4)]
    assert room_for(CPU, BUDGET_MS, inside[:3]) is Mode.FULL
    assert room_for(CPU, BUDGET_MS, [*inside[:3], hybrid(5)]) is Mode.HYBRID
    assert room_for(CPU, BUDGET_MS, [full(number) for number in range(5)]) is Mode.PREVIEW


def watch(governor: Governor, demands: list[Demand], p95_ms: float | None, from_s: float, to_s: float) -> list[Change]:
    """Look every half second, with each change taken up."""
    changes = []
    for half in range(int(2 * from_s), int(2 * to_s) + 1):
        change = governor.look(half / 2, p95_ms, CPU, demands)
        if change is not None:
            changes.append(change)
            index = next(at for at, demand in enumerate(demands) if demand.id == change.id)
            if change.mode is Mode.PREVIEW:
                del demands[index]
            else:
                demands[index] = replace(demands[index], mode=change.mode, every_ms=change.every_ms)
    return changes


def test_overload_degrades_the_newest_first_down_to_the_preview() -> None:
    demands = [full(1), full(2), full(3)]
    changes = watch(Governor(BUDGET_MS), demands, 151.0, 1, 120)
    assert [(change.id, change.mode) for change in changes[:3]] == [
        (3, Mode.HYBRID),
        (2, Mode.HYBRID),
        (1, Mode.HYBRID),
    ]
    slower = [(change.id, change.every_ms) for change in changes[3:] if change.mode is Mode.HYBRID]
    assert slower == [(number, every) for number in (3, 2, 1) for every in (1000, 2000, 4000, SLOWEST_EVERY_MS)]
    assert [change.id for change in changes if change.mode is Mode.PREVIEW] == [3, 2, 1]


def test_a_short_peak_and_one_below_the_limit_change_nothing() -> None:
    demands = [full(1), full(2)]
    governor = Governor(BUDGET_MS)
    assert watch(governor, demands, 500.0, 1, 1 + OVER_S - 0.5) == []
    assert watch(governor, demands, 149.0, 4, 60) == []
    assert watch(governor, demands, 500.0, 61, 61 + OVER_S - 0.5) == []


def test_who_is_alone_keeps_every_frame() -> None:
    assert watch(Governor(BUDGET_MS), [full(1)], 1000.0, 1, 30) == []
    slow = Speed(call_ms=300)
    governor = Governor(BUDGET_MS)
    assert [governor.look(at, 900.0, slow, [full(1)]) for at in (1, 4)][1] == Change(
        1, Mode.HYBRID, HYBRID_EVERY_MS, "overload"
    )


@pytest.mark.parametrize("p95_ms", [None, 60.0])
def test_head_room_gives_back_to_the_oldest_first(p95_ms: float | None) -> None:
    demands = [hybrid(1, 4000), hybrid(2), Demand(3, 3, Mode.HYBRID, Mode.HYBRID)]
    changes = watch(Governor(BUDGET_MS), demands, p95_ms, 1, 1 + 10 * HEAD_ROOM_S)
    assert [(change.id, change.mode, change.every_ms) for change in changes] == [
        (1, Mode.HYBRID, 2000),
        (1, Mode.HYBRID, 1000),
        (1, Mode.HYBRID, 500),
        (1, Mode.FULL, 500),
        (2, Mode.FULL, 500),
    ]


def test_nothing_is_given_back_that_would_be_taken_again() -> None:
    demands = [full(number) for number in range(4)] + [hybrid(5)]
    assert watch(Governor(BUDGET_MS), demands, 60.0, 1, 60) == []


def test_what_is_really_sent_counts_if_it_is_more_than_was_declared() -> None:
    modest = replace(full(1), fps=1.0)
    assert modest.rate == 1
    assert not modest.exceeds
    liar = replace(modest, sent_fps=30.0)
    assert liar.exceeds
    assert liar.rate == pytest.approx(1.2)  # more is not taken on
    assert replace(full(1), sent_fps=33.0).rate == 33
    assert replace(full(1), sent_fps=12.0).rate == 30  # it may send what it declared at any time
    assert replace(hybrid(1), sent_fps=5.0).rate == 5
    assert not replace(hybrid(1), sent_fps=5.0).exceeds
    # One more that needs little of the device finds less room beside one that sends more than it said.
    speed = Speed(call_ms=100)
    assert may_enter(speed, math.inf, [hybrid(1)], replace(full(2), fps=5.0))
    assert not may_enter(speed, math.inf, [replace(hybrid(1), sent_fps=6.0)], replace(full(2), fps=5.0))


def test_overload_takes_from_who_sends_more_than_was_declared_before_all_others() -> None:
    demands = [replace(full(1), fps=2.0, sent_fps=25.0), full(2), full(3)]
    changes = watch(Governor(BUDGET_MS), demands, 151.0, 1, 8)
    assert [change.id for change in changes] == [1, 3]
    slower = [replace(hybrid(1), sent_fps=20.0), hybrid(2), hybrid(3)]
    assert [change.id for change in watch(Governor(BUDGET_MS), slower, 151.0, 1, 4)] == [1]


def test_what_was_sent_before_is_no_reason_to_give_nothing_back() -> None:
    demands = [replace(hybrid(1), fps=10.0, sent_fps=200.0)]
    [change] = watch(Governor(BUDGET_MS), demands, 60.0, 1, 1 + HEAD_ROOM_S)
    assert (change.id, change.mode) == (1, Mode.FULL)
