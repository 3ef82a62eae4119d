"""The time left is told from what was measured lately, also after coming back to work that is half done."""

from __future__ import annotations

import pytest

from pipeline.core.speed import Speed


def test_what_was_done_before_the_first_measurement_does_not_count() -> None:
    speed = Speed()
    speed.measure(100.0, 5000)
    assert speed.per_s is None
    assert speed.seconds_for(10) is None
    speed.measure(110.0, 5200)
    assert speed.per_s == pytest.approx(20)
    assert speed.seconds_for(800) == pytest.approx(40)


def test_waiting_in_a_queue_does_not_count() -> None:
    speed = Speed()
    for at_s in range(0, 600, 10):
        speed.measure(float(at_s), 0)
    speed.measure(600.0, 30)
    assert speed.per_s == pytest.approx(3)


def test_the_last_minute_counts() -> None:
    speed = Speed(window_s=60.0)
    for second in range(600):
        speed.measure(float(second), 100 * second)
    done = 100 * 599
    for second in range(600, 700):
        done += 10
        speed.measure(float(second), done)
    assert speed.per_s == pytest.approx(10)


def test_work_that_stands_still_has_no_end_in_sight_after_a_while() -> None:
    speed = Speed(window_s=60.0)
    speed.measure(0.0, 0)
    speed.measure(10.0, 100)
    for second in range(11, 200):
        speed.measure(float(second), 100)
    assert speed.per_s is None


def test_work_that_begins_again_is_measured_again() -> None:
    speed = Speed()
    speed.measure(0.0, 0)
    speed.measure(10.0, 1000)
    speed.measure(20.0, 0)
    speed.measure(30.0, 50)
    assert speed.per_s == pytest.approx(5)
