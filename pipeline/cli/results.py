"""`poseline runs`, `show`, `cancel`, `verify`, `export`, `preview`: read runs and their results.

A run is named by its video's name, with or without the ending, or by the first characters of its id.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.formatting import detail_lines, run_rows, summary_line
from pipeline.cli.ingest import exit_with
from pipeline.cli.outcome import draw_previews, file_name, print_rows
from pipeline.cli.progress import Bar
from pipeline.cli.since import Since
from pipeline.cli.tagging import chosen_runs, select_by_tag
from pipeline.core.states import RunState
from pipeline.core.tags import Tags
from pipeline.errors import PoselineError, ServiceUnavailable, UsageError
from pipeline.services.export import cannot_write
from pipeline.services.pause import pause_line
from pipeline.services.pose_writers import FORMATS, Format
from pipeline.services.result_names import claimed_names
from pipeline.services.runs import RunDetail, is_held_back, short_id, to_dict
from pipeline.services.upload_steps import printable

_FOLDER = Path("poseline-out")
_of_team = click.option("--team", help="Only this team's.")


@click.command()
@_of_team
@click.option(
    "--state",
    "states",
    type=click.Choice([str(state) for state in RunState]),
    multiple=True,
    help="In this state; repeatable.",
)
@click.option("--since", type=Since(), metavar="TIME", help="Requested since then: 2026-11-20, 7d, 12h, today.")
@click.option("--name", help="Whose video's name contains this.")
@select_by_tag
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@common
@pass_console
def runs(
    console: Console,
    team: str | None,
    states: tuple[str, ...],
    since: datetime | None,
    name: str | None,
    tags: Tags,
    limit: int,
) -> None:
    """List runs, the newest first."""
    wanted = [RunState(state) for state in states]
    found = console.client.list_runs(team=team, limit=limit, states=wanted, since=since, name=name, tags=tags)
    if console.print_json([to_dict(run) for run in found]):
        return
    if found:
        headings, rows = run_rows(found)
        console.table(headings, rows)
        for run in found:
            if run.reason and run.state is RunState.FAILED:
                console.print(f"{short_id(run.id)} failed: {run.reason}")
        if any(map(is_held_back, found)):
            for pause in console.client.list_pauses():
                console.print(pause_line(pause))
        if len(found) == limit:
            console.progress(f"the newest {limit}; more with --limit")
    elif team or wanted or since or name or tags:
        console.print("no such runs")
    else:
        console.print("no runs yet; `poseline analyze VIDEO` makes one")
    console.progress(console.place.line)


@click.command()
@click.argument("name", metavar="RUN")
@_of_team
@common
@pass_console
def show(console: Console, name: str, team: str | None) -> None:
    """Show one run: its progress, what it found, and what went wrong."""
    detail = console.client.get_run(console.client.find_run(name, team=team), team=team)
    if console.print_json(detail.to_dict()):
        return
    for line in detail_lines(detail):
        console.print(line)
    if detail.run.state is RunState.DONE:
        console.print(f"  {summary_line(detail.run)}")


@click.command()
@click.argument("names", metavar="[RUN]...", nargs=-1)
@select_by_tag
@_of_team
@common
@pass_console
def cancel(console: Console, names: tuple[str, ...], tags: Tags, team: str | None) -> None:
    """Cancel runs. Their frames so far are kept; requested again, a run starts from the beginning."""
    found = chosen_runs(console, names, tags, team=team, prefer="open")
    cancelled = [console.client.cancel_run(each, team=team) for each in found]
    if not console.print_json([each.to_dict() for each in cancelled]):
        for each in cancelled:
            changed = "" if each.was_open else " already, nothing changed"
            console.print(f"run {short_id(each.run_id)}: {each.state}{changed}")


@click.command()
@click.argument("name", metavar="[RUN]", required=False)
@click.option("--format", "form", type=click.Choice(FORMATS), help="Of the file [default: by its ending, or jsonl]")
@click.option(
    "--out",
    type=click.Path(allow_dash=True, path_type=Path),
    metavar="FILE",
    help="- is standard output; with --tag a folder [default: poseline-out/, each file named after its video]",
)
@select_by_tag
@_of_team
@common
@pass_console
def export(
    console: Console, name: str | None, form: Format | None, out: Path | None, tags: Tags, team: str | None
) -> None:
    """Write a run's poses to a file. Of a run that failed or was cancelled, the frames that were analysed.

    With --tag, those of the current run of every video that has the tag.
    """
    target, folder = (None, out) if tags else (out, None)
    chosen = _format_of(target, form)
    found = chosen_runs(console, [name] if name else [], tags, team=team, prefer="current")
    if str(target) == "-":
        _export_to_stdout(console, console.client.get_run(found[0], team=team), chosen, team)
        return
    written = []
    for run_id in found:
        detail = console.client.get_run(run_id, team=team)
        with (
            _target(target, detail, f".{chosen}", _folder(folder)) as path,
            Bar(console, f"writing {path.name}", detail.run.frames) as bar,
        ):
            one = console.client.export_run(run_id, path, chosen, team=team, progress=bar)
        files = [str(path) for path in one.files]
        written.append({"run_id": str(run_id), "files": files, "missing": one.missing})
        for line in (*files, *filter(None, [one.missing])):
            console.print(line)
    console.print_json(written if tags else written[0])


@click.command()
@click.argument("name", metavar="[RUN]", required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="X.mp4|X.png",
    help="With --tag a folder [default: both in poseline-out/, named after the video]",
)
@select_by_tag
@_of_team
@common
@pass_console
def preview(console: Console, name: str | None, out: Path | None, tags: Tags, team: str | None) -> None:
    """Draw a run's skeletons on its video (.mp4) and on a contact sheet (.png).

    With --tag, those of the current run of every video that has the tag; one that cannot be drawn keeps no other.
    """
    found = chosen_runs(console, [name] if name else [], tags, team=team, prefer="current")
    drawn: list[dict[str, object]] = []
    failures: list[tuple[str, PoselineError]] = []
    folder = _folder(out if tags else None)
    for run_id in found:
        detail = console.client.get_run(run_id, team=team)
        try:
            if out is None or tags:
                files, notes = _draw_both(console, detail, folder, team)
            else:
                files, notes = _draw_one(console, detail, out, team)
        except ServiceUnavailable:
            raise
        except PoselineError as error:
            if not tags:
                raise
            failures.append((printable(detail.run.video), error))
            continue
        paths = [str(path) for _, path in files]
        drawn.append({"run_id": str(run_id), "files": paths, "file_notes": notes})
        if not console.as_json:
            print_rows(console, [(title, str(path)) for title, path in files])
            for note in notes:
                console.print(f"  {note}")
    console.print_json(drawn if tags else drawn[0])
    exit_with(console, failures)


def _draw_both(
    console: Console, detail: RunDetail, folder: Path, team: str | None
) -> tuple[list[tuple[str, Path]], list[str]]:
    with claimed_names(folder, file_name(detail.run.video), detail.run.id) as names:
        files, notes = draw_previews(console, detail.run, names, team=team)
        if not files:
            raise PoselineError(notes[0].partition(": ")[2])  # both could not be drawn for the same reason
    return files, notes


def _draw_one(
    console: Console, detail: RunDetail, out: Path, team: str | None
) -> tuple[list[tuple[str, Path]], list[str]]:
    with Bar(console, f"drawing {out.name}", None) as bar:
        drawn = console.client.preview_run(detail.run.id, out, team=team, progress=bar)
    title = "annotated video" if out.suffix.lower() == ".mp4" else "contact sheet"
    return [(title, drawn.path)], [*drawn.notes]


def _folder(named: Path | None) -> Path:
    """The folder of results that was named, or our own.

    Raises:
        UsageError: it is a file.
    """
    if named is not None and (str(named) == "-" or (named.exists() and not named.is_dir())):
        raise UsageError(f"{named} is no folder; with --tag, --out names the folder of the files")
    return named or _FOLDER


def _export_to_stdout(console: Console, detail: RunDetail, form: Format, team: str | None) -> None:
    if console.as_json:
        raise UsageError("--json and --out - both print to standard output; give one of them")
    if form == "parquet" and sys.stdout.isatty():
        raise UsageError("Parquet is not text; redirect it to a file, or choose --format csv")
    missing = console.client.export_to_stream(detail.run.id, sys.stdout.buffer, form, team=team)
    if missing:
        console.progress(missing)


@contextmanager
def _target(out: Path | None, detail: RunDetail, ending: str, folder: Path) -> Iterator[Path]:
    """The file that was named, or one in the folder of results that has no other run's name."""
    if out is not None:
        yield out
        return
    try:
        with claimed_names(folder, file_name(detail.run.video), detail.run.id) as names:
            yield names.folder / f"{names.name}{ending}"
    except OSError as error:
        raise cannot_write(folder, error) from error


def _format_of(out: Path | None, form: Format | None) -> Format:
    """The format that a file's ending names, or that was asked for.

    Raises:
        UsageError: the ending is none of ours, or another than the format asked for.
    """
    if out is None or str(out) == "-":
        return form or "jsonl"
    endings = ", ".join(f".{each}" for each in FORMATS)
    found = next((each for each in FORMATS if out.suffix.lower() == f".{each}"), None)
    if found is None:
        raise UsageError(f"{out.name} ends in none of {endings}; name the file so")
    if form not in {None, found}:
        raise UsageError(f"{out.name} is not the name of a {form} file; end it in .{form}")
    return found
