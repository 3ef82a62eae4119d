"""Times to come, as a person writes them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import click
import pytest

from pipeline.cli.deadline import Deadline, next_time_of_day


def parsed(text: str) -> datetime:
    return Deadline().convert(text, None, None)


def test_a_time_of_day_is_the_next_one() -> None:
    now = datetime.now().astimezone()
    for shift in (-2, 2):
        at = parsed(f"{now + timedelta(hours=shift):%H:%M}")
        assert now < at <= now + timedelta(days=1, minutes=1)
        assert (at.hour, at.minute) == ((now + timedelta(hours=shift)).hour, now.minute)


def test_a_time_of_day_is_what_the_clock_on_the_wall_will_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        before_the_clocks_go_back = datetime.fromisoformat("2026-10-24T19:00")
        at = next_time_of_day(18, 0, before_the_clocks_go_back)
        assert at == datetime(2026, 10, 25, 17, 0, tzinfo=UTC)
        assert at - before_the_clocks_go_back.astimezone() == timedelta(hours=24)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_so_long_from_now_and_a_date() -> None:
    now = datetime.now().astimezone()
    assert timedelta(minutes=89) < parsed("90m") - now < timedelta(minutes=91)
    assert parsed("2999-01-02T09:30") == datetime(2999, 1, 2, 9, 30).astimezone()


@pytest.mark.parametrize("text", ["soon", "25:00", "18:61", "2020-01-01", "-2h", "0m", "9999-12-31T23:59-12:00"])
def test_what_is_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is no time|has passed"):
        parsed(text)
