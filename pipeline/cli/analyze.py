"""`poseline analyze` and `poseline ingest`: upload videos and request their runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from pipeline.cli.console import Console, common, interactive, pass_console, this_command
from pipeline.cli.outcome import Outcome, print_outcome, write_outcome
from pipeline.cli.progress import Bar
from pipeline.cli.sources import Source, find_sources
from pipeline.cli.waiting import Submission, iter_ended
from pipeline.core.states import RunState
from pipeline.errors import OwnPreview, PoselineError, ServiceUnavailable, UnknownTeam, UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.zoo import find_model
from pipeline.services.capabilities import check_capability
from pipeline.services.export import cannot_write
from pipeline.services.pose_writers import FORMATS, Format
from pipeline.services.result_page import Failure, write_result_page
from pipeline.services.runs import poll_runs, short_id
from pipeline.services.submit import submit_video
from pipeline.services.teams import add_team, require_team
from pipeline.services.upload import check_servers, check_team, printable

#: A video's name, and why there are no results of it.
Failed = tuple[str, PoselineError]


def options(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that both commands have."""
    for option in (
        click.option("--team", default="default", show_default=True, help="Whose video it is."),
        click.option("--model", default=BUNDLED_MODEL, show_default=True, help="See `poseline models`."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@options
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("poseline-out"), show_default=True
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="jsonl", show_default=True)
@click.option("--preview/--no-preview", default=False, help="Draw the skeletons, too: a video and a contact sheet.")
@common
@pass_console
def analyze(
    console: Console, paths: tuple[str, ...], team: str, model: str, out: Path, form: Format, preview: bool
) -> None:
    """Find the people in videos, wait, and write their poses to files.

    PATH is a video file, a folder of them, or s3://bucket/key. Several videos get a page of results, index.html.
    Ctrl-C stops the waiting, not the analysis.
    """
    sources = _prepare(console, paths, team, model, out)
    has_page = len(sources) > 1 or any(source.in_folder for source in sources)
    submitted: list[Submission] = []
    open_runs: list[Submission] = submitted
    outcomes: list[Outcome] = []
    try:
        failures = _submit_all(console, sources, team, model, submitted)
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
        _print_how_to_resume(console, open_runs, len(sources))
        raise
    if not console.print_json([outcome.to_dict() for outcome in outcomes]):
        if len(sources) > 1:
            console.print(f"{len(outcomes)} of {len(sources)} analysed")
        if interactive() and outcomes and not preview:
            of = short_id(outcomes[0].run.id) if len(outcomes) == 1 else "NAME"
            console.progress(f"`{this_command(console.home)} preview {of}` draws the skeletons on the video")
    if has_page and (outcomes or failures):
        console.print(f"page of results: {_write_page(out, failures, outcomes)}")
    if outcomes:
        console.progress(console.place.line)
    _exit_with(console, failures)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@options
@common
@pass_console
def ingest(console: Console, paths: tuple[str, ...], team: str, model: str) -> None:
    """Like `analyze` without waiting: upload videos, request their runs, print the ids."""
    sources = _prepare(console, paths, team, model)
    submitted: list[Submission] = []
    failures = _submit_all(console, sources, team, model, submitted)
    rows = [
        {"video": one.name, "video_id": str(one.upload.video.id), "run_id": str(one.run_id), "existed": one.existed}
        for one in submitted
    ]
    if not console.print_json(rows) and rows:
        console.table(("run", "video"), [(short_id(one.run_id), one.name) for one in submitted])
    _exit_with(console, failures)


def submit(console: Console, source: str, team: str, model: str) -> Submission:
    """Submit one video, and say if it was known."""
    if source.startswith("s3://"):
        submitted = submit_video(console.system, source, team, model)
    else:
        path = Path(source)
        with Bar(console, f"uploading {printable(path.name)}", path.stat().st_size, "bytes") as bar:
            submitted = submit_video(console.system, source, team, model, progress=bar)
            bar.at(path.stat().st_size)
    upload, request = submitted.upload, submitted.request
    name = printable(source.rpartition("/")[2])
    if request.existed:
        [known] = poll_runs(console.system, [request.run_id], team=team).runs
        done = known.state is RunState.DONE
        when = "was analysed by this model before" if done else "is being analysed by this model already"
        console.progress(f"{name}: the same content {when}, as run {short_id(request.run_id)}")
    elif upload.existed:
        console.progress(f"{name}: the same content was uploaded before, as {printable(upload.video.name)}")
    return Submission(name, upload, team, request.run_id, request.existed)


def _prepare(console: Console, paths: Sequence[str], team: str, model: str, out: Path | None = None) -> list[Source]:
    """Check everything that would fail for every video alike, once; returns the sources that `paths` name."""
    check_team(team)
    sources = find_sources(paths)
    if out is not None:
        _check_writable(out)
    spec = find_model(model, console.models_path, console.pins_path).spec
    console.ensure_stack()
    check_servers(console.system)
    _require_team(console, team)
    missing = check_capability(console.system, spec.precision)
    if missing is not None:  # no error: runs that exist already are not affected
        console.progress(missing)
    return sources


def _require_team(console: Console, team: str) -> None:
    """Check that the team exists; on a terminal, offer to make it.

    Raises:
        UnknownTeam: it does not, and is not to be made.
    """
    try:
        require_team(console.system, team)
    except UnknownTeam as error:
        if console.as_json or not (interactive() and sys.stdin.isatty()):
            raise
        question = error.message.rpartition("; `poseline")[0]
        if not click.confirm(f"{question}; make it with the default limits?", err=True):
            raise
        add_team(console.system, team)


def _submit_all(
    console: Console, sources: list[Source], team: str, model: str, submitted: list[Submission]
) -> list[Failed]:
    """Submit each source, appending to `submitted` as they succeed. Returns the failures.

    Our own previews in a folder are skipped, and removed from `sources`.
    """
    failures: list[Failed] = []
    for source in tuple(sources):
        try:
            submitted.append(submit(console, source.location, team, model))
        except OwnPreview as error:
            if not source.in_folder:
                failures.append((source.name, error))
            else:
                console.progress(f"skipped {source.name}: Poseline drew it")
                sources.remove(source)
        except PoselineError as error:
            failures.append((source.name, error))
            if isinstance(error, ServiceUnavailable) and not _servers_answer(console):
                break
    return failures


def _servers_answer(console: Console) -> bool:
    """Whether other videos can be submitted: the object store may refuse one object only."""
    try:
        check_servers(console.system)
    except PoselineError:
        return False
    return True


def _print_how_to_resume(console: Console, open_runs: Sequence[Submission], of: int) -> None:
    """Say what goes on without this command, what does not, and how to come back."""
    lines = []
    if len(open_runs) == 1:
        name, run = open_runs[0].name, short_id(open_runs[0].run_id)
        lines.append(f"the analysis of {name} goes on: `poseline show {run}` shows its progress")
    elif open_runs:
        lines.append(f"the analysis of {len(open_runs)} videos goes on: `poseline runs` shows their progress")
    if of > 1:
        lines.append("repeat the command to upload what was not uploaded yet, and to write the results")
    elif open_runs:
        lines.append("repeat the command to wait again and to write the results")
    for line in lines:
        console.err.print(console.naming_home(line), markup=False)


def _check_writable(out: Path) -> None:
    """Check before any work that files can be written there."""
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UsageError(f"{out} cannot be written to; choose another folder with --out")


def _write_page(out: Path, failures: Sequence[Failed], outcomes: Sequence[Outcome]) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        analysed = {outcome.name for outcome in outcomes}
        return write_result_page(out, [Failure(name, error.message) for name, error in failures], analysed)
    except OSError as error:
        raise cannot_write(out, error) from error


def _exit_with(console: Console, failures: Sequence[Failed]) -> None:
    """Print every failure; the first decides the exit code."""
    for name, error in failures:
        console.error(error, name)
    if failures:
        raise click.exceptions.Exit(failures[0][1].exit_code)
