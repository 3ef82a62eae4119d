"""`poseline runs`, `show`, `cancel`, `verify`, `export`, `preview`: read runs and their results."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.formatting import detail_lines, summary_line
from pipeline.cli.progress import Bar
from pipeline.core.states import RunState
from pipeline.errors import UsageError
from pipeline.services.export import FORMATS, Format, export_run
from pipeline.services.preview import preview_run
from pipeline.services.runs import cancel_run, find_run, get_run, list_runs, to_dict
from pipeline.services.upload import printable
from pipeline.services.verify import verify_run

_of_team = click.option("--team", help="Only this team's.")


@click.command()
@_of_team
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@common
@pass_console
def runs(console: Console, team: str | None, limit: int) -> None:
    """List the newest runs."""
    found = list_runs(console.system, team=team, limit=limit)
    if console.print_json([to_dict(run) for run in found]):
        return
    if not found:
        console.print("no runs yet; `poseline analyze VIDEO` makes one")
        return
    console.table(
        ("run", "state", "frames", "team", "model", "video"),
        [
            (
                str(run.id)[:8],
                run.state,
                f"{run.frames_done}/{run.frames}" if run.frames else "",
                run.team,
                run.model_name,
                printable(run.video),
            )
            for run in found
        ],
    )


@click.command()
@click.argument("run_id", metavar="RUN")
@_of_team
@common
@pass_console
def show(console: Console, run_id: str, team: str | None) -> None:
    """Show one run: its progress, what it found, and what went wrong."""
    detail = get_run(console.system, find_run(console.system, run_id, team=team), team=team)
    if console.print_json(detail.to_dict()):
        return
    for line in detail_lines(detail):
        console.print(line)
    if detail.run.state is RunState.DONE:
        console.print(f"  {summary_line(detail.run)}")


@click.command()
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
@_of_team
@common
@pass_console
def cancel(console: Console, run_ids: tuple[str, ...], team: str | None) -> None:
    """Cancel runs. Their frames so far are kept; requested again, a run starts from the beginning."""
    found = [find_run(console.system, run_id, team=team) for run_id in run_ids]
    cancelled = [cancel_run(console.system, each, team=team) for each in found]
    if not console.print_json([each.to_dict() for each in cancelled]):
        for each in cancelled:
            console.print(f"run {each.run_id}: {each.state}" + ("" if each.was_open else " already, nothing changed"))


@click.command()
@click.argument("run_id", metavar="RUN")
@_of_team
@common
@pass_console
def verify(console: Console, run_id: str, team: str | None) -> int:
    """Compare a run's frames and export with its video in the object store. Exit code 1 if they differ."""
    found = find_run(console.system, run_id, team=team)
    with Bar(console, "verifying", None) as bar:
        verdict = verify_run(console.system, found, bar)
    code = 0 if verdict.good else 1
    checks = [{"what": check.what, "good": check.good, "found": check.found} for check in verdict.checks]
    if console.print_json({"run": str(found), "good": verdict.good, "checks": checks}):
        return code
    console.print(f"run {found}: {'as it should be' if verdict.good else 'NOT as it should be'}")
    for check in verdict.checks:
        console.print(f"  {check.what:<10} {'' if check.good else 'WRONG: '}{check.found}")
    return code


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Of the file [default: by its ending]")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE")
@_of_team
@common
@pass_console
def export(console: Console, run_id: str, form: Format | None, out: Path, team: str | None) -> None:
    """Write a run's poses to a file."""
    form = form or _format_of(out)
    detail = get_run(console.system, find_run(console.system, run_id, team=team), team=team)
    with Bar(console, f"writing {out.name}", detail.run.frames) as bar:
        written = export_run(console.system, detail.run.id, out, form, team=team, progress=bar)
    if not console.print_json({"run": str(detail.run.id), "files": [str(path) for path in written]}):
        for path in written:
            console.print(str(path))


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="X.mp4|X.png")
@_of_team
@common
@pass_console
def preview(console: Console, run_id: str, out: Path, team: str | None) -> None:
    """Draw a run's skeletons on its video (.mp4) or on a contact sheet (.png)."""
    found = find_run(console.system, run_id, team=team)
    with Bar(console, f"drawing {out.name}", None) as bar:
        written = preview_run(console.system, found, out, team=team, progress=bar)
    if not console.print_json({"run": str(found), "files": [str(written.path)], "notes": list(written.notes)}):
        for note in written.notes:
            console.print(f"  {note}")
        console.print(str(written.path))


def _format_of(out: Path) -> Format:
    for form in FORMATS:
        if out.suffix.lower() == f".{form}":
            return form
    endings = ", ".join(f".{form}" for form in FORMATS)
    raise UsageError(f"{out.name} ends in none of {endings}; name the file so, or give --format")
