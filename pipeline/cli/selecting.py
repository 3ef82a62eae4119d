"""The options by which videos are selected to be analysed again, and the units of a schedule."""

from __future__ import annotations

import re
from typing import Any

import click

from pipeline.cli.tagging import select_by_tag
from pipeline.core.selection import EXAMPLES, Selection
from pipeline.core.tags import Tags
from pipeline.errors import UsageError

_HOURS = {"": 1.0, "h": 1.0, "m": 1 / 60}


class Hours(click.ParamType[float]):
    """`8h`, `90m`, plain hours, or `none`, which is 0; in seconds."""

    name = "hours"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float) or value == "none":
            return 0.0 if value == "none" else float(value)
        parts = re.fullmatch(r"(\d{1,5}(?:\.\d+)?)([hm]?)", str(value))
        if parts is None or not float(parts[1]):
            self.fail(f"{value!r} is no time; write 8h, 90m or none", param, ctx)
        return float(parts[1]) * _HOURS[parts[2]] * 3600


class Frames(click.ParamType[int]):
    """A number of frames above 0, or `none`, which is 0."""

    name = "frames"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "none":
            return 0
        digits = str(value).replace(",", "").replace("_", "")
        if not re.fullmatch(r"[1-9]\d{0,14}", digits):
            self.fail(f"{value!r} is no number of frames; write such as 500000, or none", param, ctx)
        return int(digits)


def select_videos(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options `selection_of` reads."""
    for option in (
        click.option(
            "--only-worse",
            is_flag=True,
            help="Only videos whose current run is by a model of lower published accuracy, or that have none.",
        ),
        select_by_tag,
        click.option(
            "--where",
            "conditions",
            multiple=True,
            metavar="CONDITION",
            help=f"Only such videos, e.g. {EXAMPLES}; repeatable: all must hold.",
        ),
    ):
        command = option(command)
    return command


def selection_of(conditions: tuple[str, ...], tags: Tags, only_worse: bool) -> Selection:
    """What the options select.

    Raises:
        UsageError: a condition is none.
    """
    texts = [*conditions, *(f"tag.{key}={value}" for key, value in tags.items())]
    try:
        return Selection.parse([*texts, *(["accuracy=worse"] if only_worse else [])])
    except ValueError as error:
        raise UsageError(str(error)) from error
