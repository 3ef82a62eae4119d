"""Durations on the command line."""

from __future__ import annotations

import re
from typing import Any

import click

#: Seconds in each unit.
UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Seconds(click.ParamType[float]):
    """`2h`, `90m`, or plain seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if (parts := re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value))) is None:
            self.fail(f"{value!r} is not a duration; write 2h, 90m, or plain seconds", param, ctx)
        return float(parts[1]) * UNITS_S[parts[2]]
