"""`poseline retention`: how long teams keep what."""

from __future__ import annotations

from typing import Any

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.progress import Bar
from pipeline.core.retention import MEANING, Kind, format_period, parse_period
from pipeline.errors import UsageError
from pipeline.services.retention import (
    TeamRules,
    WouldGo,
    iter_what_would_go,
    list_retention,
    set_retention,
    what_would_go,
)
from pipeline.services.retention_sweep import run_retention
from pipeline.services.teams import in_bytes


class _Period(click.ParamType[int | None]):
    """`365d`, `12w`, `2y` or `keep`."""

    name = "period"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_period(str(value)) or 0
        except ValueError as error:
            self.fail(str(error), param, ctx)


_KIND = click.Choice([str(kind) for kind in Kind])


@click.group()
def retention() -> None:
    """Show or set how long a team keeps what.

    \b
    originals    uploaded videos; their frame index, runs and results stay
    proxies      copies of videos for browsers; they are made again when somebody asks
    exports      stored exports; they can be made again
    runs         done runs that are not their video's current one
    failed_runs  failed and cancelled runs
    audit        who did what, which run was current when, and closed passes

    What no period is set for is kept for ever. Beat has what is older removed, a little in each tick; nothing that is
    open or current is, and no object in a bucket of your own.
    """


@retention.command("set")
@click.argument("team")
@click.argument("kind", type=_KIND)
@click.argument("period", type=_Period(), metavar="365d|keep")
@common
@pass_console
def set_(console: Console, team: str, kind: str, period: int) -> None:
    """Have a team keep something for so long: days (365d), weeks (12w), years (2y), or for ever (keep).

    What is older goes after an hour, so that a mistake can be taken back; `poseline retention run` does not wait.
    """
    rules = set_retention(console.system, team, Kind(kind), period or None)
    if console.print_json(rules.to_dict()):
        return
    console.print(f"{team} keeps {kind} {_spoken(period or None)}: {MEANING[Kind(kind)]}")
    if period:
        console.print(
            f"what goes because of that goes after an hour; `poseline retention dry-run {team}` says what it is"
        )


@retention.command()
@click.argument("team", required=False)
@common
@pass_console
def show(console: Console, team: str | None) -> None:
    """Show what every team keeps for how long."""
    rules = list_retention(console.system, team)
    if console.print_json([each.to_dict() for each in rules]):
        return
    if not rules:
        console.print("no teams yet; `poseline teams add NAME` makes one")
        return
    console.table(("team", *(str(kind) for kind in Kind)), [_row(each) for each in rules])


@retention.command("dry-run")
@click.argument("team", required=False)
@click.argument("kind", type=_KIND, required=False)
@click.argument("period", type=_Period(), metavar="[365d]", required=False)
@common
@pass_console
def dry_run(console: Console, team: str | None, kind: str | None, period: int | None) -> None:
    """Show what would be removed now, and remove nothing.

    With KIND and a period: what that rule would remove if it were set.
    """
    if team is None or kind is None:
        found = list(iter_what_would_go(console.system, team))
    elif not period:
        raise UsageError(f"say for how long, as in `poseline retention dry-run {team} {kind} 365d`")
    else:
        found = [what_would_go(console.system, team, Kind(kind), period)]
    if console.print_json([each.to_dict() for each in found]):
        return
    if not found:
        console.print("everything is kept for ever; `poseline retention set TEAM KIND 365d` changes that")
        return
    console.table(("team", "kind", "keeps", "would go", "size", "oldest", "such as"), [_line(each) for each in found])


@retention.command()
@click.argument("team", required=False)
@common
@pass_console
def run(console: Console, team: str | None) -> None:
    """Remove now what is not kept, and wait for it."""
    with Bar(console, "removing", None, "rows") as bar:
        removed = run_retention(console.system, team, bar)
    rows = [{"team": name, "kind": str(kind), "removed": number} for (name, kind), number in removed.items()]
    if console.print_json(rows):
        return
    for (name, kind), number in removed.items():
        console.print(f"{name}: {number} {kind} removed")
    if not removed:
        console.print("everything is kept for ever; nothing was removed")


def _row(rules: TeamRules) -> tuple[str, ...]:
    return (rules.team, *(format_period(rules.days[kind]) for kind in Kind))


def _line(found: WouldGo) -> tuple[object, ...]:
    size = None if found.size_bytes is None else f"{'about ' if found.estimated else ''}{in_bytes(found.size_bytes)}"
    frames = f", {found.frames:,} frames" if found.frames else ""
    oldest = None if found.oldest is None else f"{found.oldest:%Y-%m-%d}"
    keeps = format_period(found.rule.days)
    return (found.rule.team, found.rule.kind, keeps, f"{found.number}{frames}", size, oldest, ", ".join(found.examples))


def _spoken(days: int | None) -> str:
    return "for ever" if days is None else f"for {days} day{'' if days == 1 else 's'}"
