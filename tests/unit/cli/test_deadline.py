"""Times to come, as a person writes them."""

from __future__ import annotations

from datetime import datetime, timedelta

import click
import pytest

from pipeline.cli.deadline import Deadline


def parsed(text: str) -> datetime:
    return Deadline().convert(text, None, None)


def test_a_time_of_day_is_the_next_one() -> None:
    now = datetime.now().astimezone()
    for shift in (-2, 2):
        at = parsed(f"{now + timedelta(hours=shift):%H:%M}")
        assert now < at <= now + timedelta(days=1, minutes=1)
        assert (at.hour, at.minute) == ((now + timedelta(hours=shift)).hour, now.minute)


def test_so_long_from_now_and_a_date() -> None:
    now = datetime.now().astimezone()
    assert timedelta(minutes=89) < parsed("90m") - now < timedelta(minutes=91)
    assert parsed("2999-01-02T09:30") == datetime(2999, 1, 2, 9, 30).astimezone()


@pytest.mark.parametrize("text", ["soon", "25:00", "18:61", "2020-01-01", "-2h"])
def test_what_is_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is no time|has passed"):
        parsed(text)
