"""A time to come on the command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Deadline(click.ParamType[datetime]):
    """`18:00` (today, or tomorrow if that has passed), `2h`, `30m`, `2026-11-28T09:00`; in local time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            at = _read(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write 18:00, 2h, 30m or 2026-11-28T09:00", param, ctx)
        if at <= datetime.now().astimezone():
            self.fail(f"{value} has passed; name a time to come", param, ctx)
        return at


def _read(value: str) -> datetime:
    """
    Raises:
        ValueError, OverflowError: it is no time.
    """
    if ahead := re.fullmatch(r"(\d{1,6})([mhd])", value):
        return datetime.now().astimezone() + timedelta(**{_UNITS[ahead[2]]: int(ahead[1])})
    if of_day := re.fullmatch(r"(\d{1,2}):(\d\d)", value):
        return next_time_of_day(int(of_day[1]), int(of_day[2]), datetime.now().astimezone().replace(tzinfo=None))
    return datetime.fromisoformat(value).astimezone()


def next_time_of_day(hour: int, minute: int, wall_clock: datetime) -> datetime:
    """The next such time of day in local time, which may be 25 hours away.

    Args:
        wall_clock: what a clock on the wall shows now, without a time zone.

    Raises:
        ValueError: there is no such time of day.
    """
    at = wall_clock.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (at if at > wall_clock else at + timedelta(days=1)).astimezone()
