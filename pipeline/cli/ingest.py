"""`poseline ingest`: upload videos and request their runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.source_options import Wanted, source_options
from pipeline.cli.taking_in import TOLD_ONE_BY_ONE, TakingIn
from pipeline.errors import PoselineError
from pipeline.services.runs import short_id


@click.command()
@source_options
@common
@pass_console
def ingest(console: Console, /, **wanted: Any) -> None:
    """Like `analyze` without waiting: upload videos, request their runs, print the ids.

    PATH is a video file, a folder of them, a pattern like 'a/**/*.mp4', s3://bucket/key, s3://bucket/prefix/, a
    manifest (.csv, .jsonl), or - for a list on standard input. Repeated after Ctrl-C, the command goes on where it was.
    """
    taking_in = TakingIn(console, Wanted(**wanted))
    try:
        ended = taking_in.run()
    except KeyboardInterrupt:
        console.notice(f"{taking_in.ended.summary()}; repeat the command to go on with the others")
        raise
    if not console.print_json(taking_in.facts()):
        taken = ended.submissions()
        if taken and len(taken) <= TOLD_ONE_BY_ONE:
            console.table(("run", "video"), [(short_id(one.run_id), one.name) for one in taken])
        if taking_in.is_many:
            console.print(ended.summary())
    exit_with(console, ended.failures())


def exit_with(console: Console, failures: Sequence[tuple[str, PoselineError]]) -> None:
    """Print every failure with its video; the first decides the exit code."""
    for name, error in failures:
        console.error(error, name or None)
    if failures:
        raise click.exceptions.Exit(failures[0][1].exit_code)
