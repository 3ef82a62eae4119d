"""When schedules are due, over changes of the clock, leap days and long sleeps."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.core.cron import Cron, Due

NIGHTLY = Cron("30 2 * * *", "Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(cron: Cron, start: datetime, count: int) -> list[datetime]:
    found = [cron.next_after(start)]
    while len(found) < count:
        assert found[-1] is not None
        found.append(cron.next_after(found[-1]))
    return [slot for slot in found if slot is not None]


def test_a_time_that_the_clock_leaves_out_is_due_right_after_it() -> None:
    """On 28 March 2027 it is 03:00 in Berlin after 01:59:59."""
    assert slots(NIGHTLY, utc("2027-03-27T00:00"), 3) == [
        utc("2027-03-27T01:30"),
        utc("2027-03-28T01:00"),
        utc("2027-03-29T00:30"),
    ]


def test_a_time_that_comes_twice_is_due_once() -> None:
    """On 31 October 2027 it is 02:30 in Berlin at 00:30 and at 01:30 UTC."""
    assert slots(NIGHTLY, utc("2027-10-30T12:00"), 2) == [utc("2027-10-31T00:30"), utc("2027-11-01T01:30")]


def test_between_the_two_the_next_is_tomorrows() -> None:
    assert NIGHTLY.next_after(utc("2027-10-31T01:10")) == utc("2027-11-01T01:30")


def test_what_goes_by_the_hour_goes_on_over_both_changes() -> None:
    every = Cron("0 * * * *", "Europe/Berlin")
    for day in ("2027-03-28T00:00", "2027-10-31T00:00"):
        found = slots(every, utc(day), 5)
        assert {after - before for before, after in itertools.pairwise(found)} == {timedelta(hours=1)}


def test_leap_days() -> None:
    assert slots(Cron("0 22 29 2 *", "UTC"), utc("2026-01-01T00:00"), 2) == [
        utc("2028-02-29T22:00"),
        utc("2032-02-29T22:00"),
    ]


def test_nothing_is_due_before_its_time() -> None:
    slot = utc("2026-11-27T01:30")
    assert NIGHTLY.due(slot, slot - timedelta(seconds=1)) is None


def test_a_slot_is_due_from_its_second_on() -> None:
    slot = utc("2026-11-27T01:30")
    for late in (timedelta(), timedelta(microseconds=1), timedelta(hours=3)):
        assert NIGHTLY.due(slot, slot + late) == Due(slot, 0, slot + timedelta(days=1))


def test_after_a_long_sleep_the_last_slot_is_due_and_the_others_are_counted() -> None:
    slot = utc("2026-11-27T01:30")
    assert NIGHTLY.due(slot, slot + timedelta(days=5, hours=7)) == Due(
        slot + timedelta(days=5), 5, slot + timedelta(days=6)
    )


def test_a_sleep_of_years_is_quick() -> None:
    due = Cron("* * * * *", "UTC").due(utc("2026-01-01T00:00"), utc("2030-01-01T00:00:30"))
    assert due == Due(utc("2030-01-01T00:00"), 1000, utc("2030-01-01T00:01"))


@pytest.mark.parametrize(
    ("text", "zone", "why"),
    [
        ("22:00", "UTC", "five fields"),
        ("0 25 * * *", "UTC", "hour"),
        ("0 0 30 2 *", "UTC", "day-of-month"),
        ("0 22 * * * *", "UTC", "five fields"),
        ("0 22 * * *", "Europe/Nowhere", "time zone"),
        ("0 22 * * *", "../../etc/passwd", "time zone"),
        ("0 22 * * *", "", "time zone"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, zone: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Cron(text, zone)
