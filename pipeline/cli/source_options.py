"""The argument and the options that say which videos are taken in, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pipeline.cli.deadline import Deadline
from pipeline.cli.tagging import read_tags
from pipeline.core.fair_share import LANES
from pipeline.core.key_pattern import KeyPattern
from pipeline.core.tags import Tags
from pipeline.errors import UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.teams import DEFAULT_TEAM


@dataclass(frozen=True)
class Wanted:
    """What the options of a command line ask for."""

    paths: Sequence[str]
    team: str | None = None
    model: str = BUNDLED_MODEL
    manifest: Path | None = None
    tags: Tags = field(default_factory=dict)
    pattern: KeyPattern | None = None
    jobs: int | None = None
    report: Path | None = None
    lane: str = "fresh"
    deadline: datetime | None = None


def _read_pattern(_: click.Context, __: click.Parameter, text: str | None) -> KeyPattern | None:
    try:
        return None if text is None else KeyPattern.parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument and the options that say what is taken in."""
    for option in (
        click.argument("paths", nargs=-1, metavar="[PATH]..."),
        click.option("--team", help=f"Whose videos they are.  [default: {DEFAULT_TEAM}, or that of the key]"),
        click.option("--model", default=BUNDLED_MODEL, show_default=True, help="See `poseline models`."),
        click.option(
            "--manifest",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="A .csv or .jsonl with the columns path, team, name and tags.",
        ),
        click.option(
            "--tag", "tags", multiple=True, callback=read_tags, metavar="KEY=VALUE", help="For every video; repeatable."
        ),
        click.option(
            "--key-pattern",
            "pattern",
            callback=_read_pattern,
            metavar="PATTERN",
            help="Tags from paths: {season}/{team}/{match}_{camera}.mp4",
        ),
        click.option(
            "--jobs", type=click.IntRange(1, 256), metavar="N", help="Videos at once [default: by what is there]"
        ),
        click.option(
            "--lane",
            type=click.Choice(LANES),
            default="fresh",
            show_default=True,
            help="A lane comes before the next, which keeps a share.",
        ),
        click.option(
            "--before", "deadline", type=Deadline(), help="When it should be done: 18:00, 2h, 2026-11-28T09:00."
        ),
        click.option(
            "--report",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write what becomes of each video to a .jsonl or .csv.",
        ),
    ):
        command = option(command)
    return command
