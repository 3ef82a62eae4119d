"""`poseline analyze`: upload videos, wait, and write their poses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline.cli.console import Console, common, interactive, pass_console, this_command
from pipeline.cli.ingest import exit_with
from pipeline.cli.outcome import Outcome, print_outcome, write_outcome
from pipeline.cli.source_options import Wanted, source_options
from pipeline.cli.taking_in import TakingIn
from pipeline.cli.waiting import Submission, iter_ended
from pipeline.errors import PoselineError, ServiceUnavailable, UsageError
from pipeline.services.export import cannot_write
from pipeline.services.pose_writers import FORMATS, Format
from pipeline.services.result_page import Failure, write_result_page
from pipeline.services.runs import short_id

#: A video's name, and why there are no results of it.
Failed = tuple[str, PoselineError]


@click.command()
@source_options
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("poseline-out"), show_default=True
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="jsonl", show_default=True)
@click.option("--preview/--no-preview", default=False, help="Draw the skeletons, too: a video and a contact sheet.")
@common
@pass_console
def analyze(console: Console, /, out: Path, form: Format, preview: bool, **wanted: Any) -> None:
    """Find the people in videos, wait, and write their poses to files.

    PATH is a video file, a folder of them, a pattern like 'a/**/*.mp4', s3://bucket/key, s3://bucket/prefix/, a
    manifest (.csv, .jsonl), or - for a list on standard input. Several videos get a page of results, index.html. Ctrl-C
    stops the waiting, not the analysis.
    """
    _check_writable(out)
    taking_in = TakingIn(console, Wanted(**wanted))
    has_page = taking_in.is_many
    open_runs: list[Submission] = []
    outcomes: list[Outcome] = []
    failures: list[Failed] = []
    try:
        ended = taking_in.run()
        failures = ended.failures()
        submitted = ended.submissions()
        open_runs = list(submitted)
        for one, run in iter_ended(console, submitted) if submitted else ():
            try:
                outcome = write_outcome(console, one, run, out, form, preview=preview, picture=has_page)
                print_outcome(console, outcome)
                outcomes.append(outcome)
            except ServiceUnavailable:
                raise
            except PoselineError as error:
                failures.append((one.name, error))
            open_runs.remove(one)
    except (KeyboardInterrupt, ServiceUnavailable):
        if has_page and outcomes:
            _write_page(out, [], outcomes)
        _print_how_to_resume(console, open_runs or taking_in.ended.submissions(), has_page)
        raise
    of = len(submitted) + len(ended.failures())
    if not console.print_json([outcome.to_dict() for outcome in outcomes]):
        if of > 1:
            console.print(f"{len(outcomes):,} of {of:,} analysed")
        if interactive() and outcomes and not preview:
            named = short_id(outcomes[0].run.id) if len(outcomes) == 1 else "NAME"
            console.progress(f"`{this_command(console.home)} preview {named}` draws the skeletons on the video")
    if has_page and (outcomes or failures):
        console.print(f"page of results: {_write_page(out, failures, outcomes)}")
    if outcomes:
        console.progress(console.place.line)
    exit_with(console, failures)


def _print_how_to_resume(console: Console, open_runs: Sequence[Submission], is_many: bool) -> None:
    """Say what goes on without this command, what does not, and how to come back."""
    lines = []
    if len(open_runs) == 1:
        name, run = open_runs[0].name, short_id(open_runs[0].run_id)
        lines.append(f"the analysis of {name} goes on: `poseline show {run}` shows its progress")
    elif open_runs:
        lines.append(f"the analysis of {len(open_runs)} videos goes on: `poseline runs` shows their progress")
    if is_many:
        lines.append("repeat the command to upload what was not uploaded yet, and to write the results")
    elif open_runs:
        lines.append("repeat the command to wait again and to write the results")
    for line in lines:
        console.notice(console.naming_home(line))


def _check_writable(out: Path) -> None:
    """Check before any work that files can be written there."""
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UsageError(f"{out} cannot be written to; choose another folder with --out")


def _write_page(out: Path, failures: Sequence[Failed], outcomes: Sequence[Outcome]) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        analysed = {outcome.name for outcome in outcomes}
        return write_result_page(out, [Failure(name, error.message) for name, error in failures if name], analysed)
    except OSError as error:
        raise cannot_write(out, error) from error
