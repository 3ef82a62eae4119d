"""Many threads' calls in few turns."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.core.shared_turns import SharedTurns


def test_calls_that_wait_are_answered_together_and_each_gets_its_own() -> None:
    begun, go_on = threading.Event(), threading.Event()
    turns: list[list[int]] = []

    def double(asked: Sequence[int]) -> list[int | Exception]:
        turns.append(list(asked))
        begun.set()
        go_on.wait(10)
        return [ValueError("seven") if each == 7 else 2 * each for each in asked]

    shared = SharedTurns(double)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(shared, 0)
        begun.wait(10)
        rest = [pool.submit(shared, number) for number in range(1, 10)]
        while len(shared._waiting) < 9:  # each has to take a lock that is free
            threading.Event().wait(0.001)
        go_on.set()
        assert first.result() == 0
        for number, each in enumerate(rest, start=1):
            if number == 7:
                with pytest.raises(ValueError, match="seven"):
                    each.result()
            else:
                assert each.result() == 2 * number
    assert [len(turn) for turn in turns] == [1, 9]


def test_one_that_fails_does_not_spoil_the_others() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def invert(asked: Sequence[int]) -> list[float | Exception]:
        begun.set()
        go_on.wait(10)
        return [1 / each for each in asked]

    shared = SharedTurns(invert)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(shared, 1)
        begun.wait(10)
        calls = {number: pool.submit(shared, number) for number in (0, 2, 4)}
        while len(shared._waiting) < 3:
            threading.Event().wait(0.001)
        go_on.set()
        assert (first.result(), calls[2].result(), calls[4].result()) == (1, 0.5, 0.25)
        with pytest.raises(ZeroDivisionError):
            calls[0].result()
