"""When the window is filled up again: at half of it, and for a team that may have one chunk under way."""

from __future__ import annotations

import pytest

from pipeline.core.window import Window


def test_half_a_window_is_filled_up() -> None:
    assert [Window(5, waiting).wants_more for waiting in range(6)] == [True, True, True, False, False, False]
    assert Window(None, 1000).wants_more, "nobody has filled it lately"


def test_a_team_that_may_have_one_chunk_under_way_gets_the_next_at_once() -> None:
    assert Window(5, 5, ended=1, lone_ended=1).wants_more
    assert not Window(5, 5, ended=1).wants_more, "another team's chunk ended"


@pytest.mark.parametrize("size", [50, 1250])
def test_in_a_large_window_several_ends_are_seen_together(size: int) -> None:
    """Or each of 250 ends a second would read the queues."""
    states = [Window(size, size, ended, lone_ended=1).wants_more for ended in range(size)]
    assert states == [ended >= size // 25 for ended in range(size)]
