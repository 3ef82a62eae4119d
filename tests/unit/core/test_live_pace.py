"""What a session sends against what it declared, by times alone."""

from __future__ import annotations

from collections import deque

import pytest

from pipeline.core.live_pace import Pace, TextLimit
from pipeline.core.live_protocol import BadMessage, Clock, Frame, Mode


def taken(pace: Pace, fps: float, from_s: float, to_s: float, mode: Mode = Mode.FULL, every_ms: int = 500) -> int:
    """Send at this rate; returns how many frames are taken on."""
    count = 0
    for at in range(round(fps * (to_s - from_s))):
        now_s = from_s + at / fps
        if pace.has_room(now_s, mode, every_ms):
            pace.take(now_s)
            count += 1
    return count


@pytest.mark.parametrize("fps", [1.0, 15.0, 29.97, 240.0])
def test_who_sends_as_declared_loses_nothing(fps: float) -> None:
    pace = Pace(fps, 0.0)
    assert taken(pace, 1.15 * fps, 0.0, 100.0) == round(115 * fps)
    assert pace.sent_fps(100.0) == pytest.approx(1.15 * fps, rel=0.2)


def test_a_burst_after_a_pause_is_no_excess() -> None:
    pace = Pace(30.0, 0.0)
    assert taken(pace, 30.0, 0.0, 10.0) == 300
    # Half a second in which nothing came through, and then all at once.
    assert taken(pace, 1000.0, 10.5, 10.515) == 15
    assert taken(pace, 30.0, 10.515, 20.0) == 285


def test_who_sends_more_than_declared_gets_what_was_declared_and_is_measured() -> None:
    pace = Pace(1.0, 0.0)
    assert taken(pace, 30.0, 0.0, 10.0) <= 5 + 12
    assert pace.sent_fps(10.0) == pytest.approx(30.0, rel=0.1)
    assert pace.sent_fps(13.0) < 15
    assert pace.sent_fps(16.0) == 0


def test_another_mode_is_measured_anew() -> None:
    pace = Pace(30.0, 0.0)
    taken(pace, 30.0, 0.0, 5.0)
    pace.forget(5.0)
    assert pace.sent_fps(5.0) == 0
    assert taken(pace, 5.0, 5.0, 15.0, Mode.HYBRID) == 50
    assert pace.sent_fps(15.0) == pytest.approx(5.0, rel=0.15)


def test_a_hybrid_session_is_taken_at_two_fifths_of_its_interval_and_not_much_sooner() -> None:
    assert taken(Pace(30.0, 0.0), 5.0, 0.0, 20.0, Mode.HYBRID) == 100
    assert taken(Pace(30.0, 0.0), 30.0, 0.0, 20.0, Mode.HYBRID) <= 20 / 0.15 + 1
    assert taken(Pace(30.0, 0.0), 30.0, 0.0, 20.0, Mode.HYBRID, 5000) <= 20 / 1.5 + 1


def test_text_messages_without_end_are_not_taken_and_frames_are() -> None:
    limit = TextLimit(100.0)
    for second in range(600):  # as pages and programs ask
        limit.take(Clock(0.0), 100.0 + second)
        for _ in range(60):
            limit.take(Frame(1, True, 0.0, 0.0, 0.0, b"x"), 100.0 + second)
    more = (limit.take(Clock(0.0), 700.0) for _ in range(10_000))
    with pytest.raises(BadMessage, match="too often"):
        deque(more)
