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
        now = datetime.now().astimezone()
        if ahead := re.fullmatch(r"(\d{1,6})([mhd])", value):
            return now + timedelta(**{_UNITS[ahead[2]]: int(ahead[1])})
        try:
            if of_day := re.fullmatch(r"(\d{1,2}):(\d\d)", value):
                at = now.replace(hour=int(of_day[1]), minute=int(of_day[2]), second=0, microsecond=0)
                return at if at > now else at + timedelta(days=1)
            at = datetime.fromisoformat(value).astimezone()
        except ValueError:
            self.fail(f"{value!r} is no time; write 18:00, 2h, 30m or 2026-11-28T09:00", param, ctx)
        if at <= now:
            self.fail(f"{value} has passed; name a time to come", param, ctx)
        return at
