"""A point of time on the command line: a date, a time, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Since(click.ParamType[datetime]):
    """`2026-11-20`, `2026-11-20T18:00`, `7d`, `12h`, `today`, `yesterday`; in local time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return _read(value)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time; write 2026-11-20, 2026-11-20T18:00, 7d, 12h, today or yesterday", param, ctx
            )


def _read(value: str) -> datetime:
    """
    Raises:
        ValueError, OverflowError: it is no time.
    """
    if value in {"today", "yesterday"}:
        wall_clock = datetime.now().astimezone().replace(tzinfo=None)
        midnight = wall_clock.replace(hour=0, minute=0, second=0, microsecond=0)
        return (midnight - timedelta(days=value == "yesterday")).astimezone()
    if ago := re.fullmatch(r"(\d{1,6})([mhdw])", value):
        return datetime.now().astimezone() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    return datetime.fromisoformat(value).astimezone()
