"""`poseline compare`, `promote`, `rollback`, `history`: the runs of a video, how they differ, and which is current."""

from __future__ import annotations

import os
import pwd
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli.comparison_lines import comparison_lines, joint_rows
from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.formatting import in_number
from pipeline.cli.progress import Bar
from pipeline.core.promotion import PromotionRule, parse_rule
from pipeline.errors import PoselineError, ServiceUnavailable, UsageError
from pipeline.services import promote as service
from pipeline.services.compare import compare_runs, find_pair
from pipeline.services.preview.strip import draw_strip
from pipeline.services.promote import Change
from pipeline.services.runs import short_id

_of_team = click.option("--team", help="Only this team's.")


def _decided(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say who decides, and why."""
    for option in (
        click.option("--reason", metavar="TEXT", help="Why, for the history."),
        click.option("--by", metavar="NAME", help="Who decides, for the history [default: the user of this system]"),
    ):
        command = option(command)
    return command


def _by(named: str | None) -> str:
    if named is not None:
        return named
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        return f"user {os.getuid()}"


def _read_rule(_: click.Context, __: click.Parameter, text: str | None) -> PromotionRule | None:
    try:
        return None if text is None else parse_rule(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


@click.command()
@click.argument("name", metavar="RUN|VIDEO")
@click.argument("other", metavar="[RUN]", required=False)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="X.jpg|X.png",
    help="Draw the frames that changed most, with the skeletons of both runs.",
)
@click.option(
    "--rule", callback=_read_rule, metavar="RULE", help="Say what this rule would decide; it changes nothing."
)
@_of_team
@common
@pass_console
def compare(
    console: Console, name: str, other: str | None, out: Path | None, rule: PromotionRule | None, team: str | None
) -> None:
    """Compare two runs of one video: the earlier one first.

    One RUN is compared with its video's current run, or the current run with the one before it. VIDEO is its newest run
    that is done. People are matched by OKS over the keypoints that both models have.
    """
    before, after = find_pair(console.system, name, other, team=team)
    with Bar(console, "comparing", None) as bar:
        comparison = compare_runs(console.system, before, after, team=team, progress=bar)
    notes: tuple[str, ...] = ()
    if out is not None:
        with Bar(console, f"drawing {out.name}", None) as bar:
            notes = draw_strip(console.system, comparison, out, team=team, progress=bar)
    written = [str(out)] if out is not None and comparison.figures.changed_most else []
    decision = None if rule is None else rule.decide(comparison.figures)
    facts = {**comparison.to_dict(), "decision": decision and asdict(decision)}
    if console.print_json({**facts, "files": written, "file_notes": list(notes)}):
        return
    for line in comparison_lines(comparison):
        console.print(line)
    if decision is not None:
        verdict = "would become current" if decision.promoted else "would be kept back"
        console.print(f"  {'rule':<10} {rule}: it {verdict}: {decision.reason}")
    rows = joint_rows(comparison.figures)
    if rows:
        console.table(("keypoint", "median", "95 %", "of the size", "95 %", "measured"), rows)
    for line in (*written, *notes):
        console.print(line)


@click.command()
@click.argument("names", metavar="RUN|VIDEO...", nargs=-1, required=True)
@_decided
@_of_team
@common
@pass_console
def promote(console: Console, names: tuple[str, ...], by: str | None, reason: str | None, team: str | None) -> None:
    """Make a run that is done its video's current one. VIDEO is its newest run that is done.

    The views that begin with current_, `export`, `preview` and `verify` by the video's name, and the next comparison
    take it from then on. `poseline rollback` goes back.
    """
    changes, failures = [], []
    for name in names:
        try:
            changes.append(service.promote(console.system, name, team=team, by=_by(by), reason=reason))
        except ServiceUnavailable:
            raise
        except PoselineError as error:
            failures.append((name, error))
    _print(console, changes)
    for name, failure in failures:
        console.error(failure, name)
    if failures:
        raise click.exceptions.Exit(failures[0][1].exit_code)


@click.command()
@click.argument("name", metavar="[VIDEO]", required=False)
@click.option("--schedule", metavar="NAME", help="Every video whose current run came from this schedule.")
@click.option("--pass", "pass_name", metavar="NAME|ID", help="Every video whose current run came from this pass.")
@_decided
@_of_team
@common
@pass_console
def rollback(
    console: Console,
    name: str | None,
    schedule: str | None,
    pass_name: str | None,
    by: str | None,
    reason: str | None,
    team: str | None,
) -> None:
    """Go back to the run that was current before.

    With --schedule or --pass, each such video goes back to the last run that did not come from it, one after the other;
    broken off, the same command goes on. A run that was rolled back stays, and `poseline promote` brings it back.
    """
    if sum(each is not None for each in (name, schedule, pass_name)) != 1:
        raise UsageError("name a video, or choose videos by --schedule NAME or --pass NAME")
    if name is not None:
        _print(console, [service.rollback(console.system, name, team=team, by=_by(by), reason=reason)])
        return
    with Bar(console, "rolling back", None, "videos") as bar:
        changes = list(
            service.iter_rollback(
                console.system,
                schedule_name=schedule,
                pass_name=pass_name,
                team=team,
                by=_by(by),
                reason=reason,
                progress=bar,
            )
        )
    if console.print_json([change.to_dict() for change in changes]):
        return
    counts = Counter(change.action for change in changes)
    for change in changes:
        if change.action == "refused":
            console.print(change.message)
    refused = f", {counts['refused']} could not" if counts["refused"] else ""
    console.print(f"{in_number(counts['rolled_back'], 'video')} went back to the run before{refused}")


@click.command()
@click.argument("name", metavar="VIDEO|RUN")
@_of_team
@common
@pass_console
def history(console: Console, name: str, team: str | None) -> None:
    """Show which runs of a video were current or kept back, since when, by whom and why; the newest first."""
    found = service.get_history(console.system, name, team=team)
    if console.print_json(found.to_dict()):
        return
    rows = [
        (
            f"{entry.at.astimezone():%Y-%m-%d %H:%M}",
            ("rolled back to" if entry.undoes is not None else "promoted") if entry.promoted else "kept back",
            "deleted" if entry.run_id is None else short_id(entry.run_id),
            entry.model,
            entry.by,
            entry.reason,
        )
        for entry in found.entries
    ]
    current = "none yet" if found.current_run_id is None else short_id(found.current_run_id)
    console.print(f"{found.video}, team {found.team}: current run {current}")
    if rows:
        console.table(("when", "what", "run", "model", "by", "why"), rows)


def _print(console: Console, changes: list[Change]) -> None:
    if console.print_json([change.to_dict() for change in changes]):
        return
    for change in changes:
        console.print(f"{change.video}: {change.message}")
