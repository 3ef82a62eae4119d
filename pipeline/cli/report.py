"""`poseline report`: what a schedule or a pass changed, as a page of Markdown or as JSON."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.progress import Bar
from pipeline.errors import UsageError
from pipeline.services.campaign_page import page, write_campaign
from pipeline.services.campaign_report import report_on


@click.command()
@click.argument("name", metavar="SCHEDULE|PASS")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write report.md, report.json and a picture of each of the ten worst videos there.",
)
@click.option("--team", help="Only this team's videos.")
@common
@pass_console
def report(console: Console, name: str, out: Path | None, team: str | None) -> None:
    """Report on a schedule or a pass: how many videos, what became current, what was kept back and why, what changed
    in the mean, and the ten videos that agree least with what was found before.

    A pass is named by its name or the first characters of its id.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is no folder; --out names the folder of the report")
    found = report_on(console.system, name, team=team)
    files: list[Path] = []
    notes: list[str] = []
    if out is not None:
        with Bar(console, "drawing what changed", None, "pictures") as bar:
            files, notes = write_campaign(console.system, found, out, team=team, progress=bar)
    about = {"files": list(map(str, files)), "file_notes": notes}
    if console.print_json({**found.to_dict(), **about}):
        return
    if out is None:
        console.print(page(found).rstrip())
    for line in (*about["files"], *notes):
        console.print(line)
