"""`poseline schedule`: have videos analysed again by the clock."""

from __future__ import annotations

import shlex
from typing import Any

import click
from tzlocal import get_localzone_name

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.pass_lines import estimate_lines, print_passes
from pipeline.cli.progress import Bar
from pipeline.cli.schedule_lines import in_runs, left_line, next_slot, print_schedule, schedule_lines
from pipeline.cli.selecting import Frames, Hours, select_videos, selection_of
from pipeline.core.tags import Tags
from pipeline.errors import NotFound, UsageError
from pipeline.services import schedules as service
from pipeline.services.pass_estimate import estimate_next_pass
from pipeline.services.pass_list import PassProgress, find_pass, get_pass, list_passes, stop_pass
from pipeline.services.schedule_report import report_schedule, schedule_to_dict
from pipeline.services.schedules import ScheduleOptions
from pipeline.services.upload_steps import printable

_SHOWN = 20


def _options(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that `add` and `edit` share."""
    for option in (
        click.option(
            "--promotion",
            "promotion",
            metavar="RULE",
            help="When a new run becomes its video's current one: automatic, manual, better, or bounds such as "
            "'oks>=0.9, lost<=2%'.",
        ),
        click.option("--budget-hours", type=Hours(), metavar="TIME", help="The most hours of video a night, or none."),
        click.option("--budget-frames", type=Frames(), metavar="N", help="The most frames a night, or none."),
        click.option(
            "--window",
            type=Hours(),
            metavar="TIME",
            help="For how long after its slot a pass may begin work, such as 8h, or none.",
        ),
        click.option("--model", metavar="NAME", help="By which model."),
        select_videos,
        click.option("--team", help="Whose videos."),
        click.option("--timezone", metavar="ZONE", help="Such as Europe/Berlin [default: this machine's]"),
        click.option("--cron", metavar="'M H D M W'", help="When: minute, hour, day, month, weekday."),
    ):
        command = option(command)
    return command


def _read(
    conditions: tuple[str, ...], tags: Tags, only_worse: bool, window: float | None, **given: Any
) -> dict[str, Any]:
    if given["team"] == "":
        raise UsageError("--team names no team")
    selects = bool(conditions or tags or only_worse)
    return {
        "window_s": None if window is None else round(window),
        "budget_video_s": given.pop("budget_hours"),
        "selection": selection_of(conditions, tags, only_worse) if selects else None,
        **given,
    }


@click.group()
@common
def schedule() -> None:
    """Have videos analysed again by the clock, when a better model came.

    At each slot of its cron expression a schedule opens a pass, which takes videos in the order in which they were
    uploaded, in the lane `reprocess`: fresh videos come first, reprocessing keeps its share. What its window or budget
    cuts off goes on with the next pass.
    """


@schedule.command("add")
@click.argument("name")
@_options
@click.option("--disabled", is_flag=True, help="Do not enable it yet.")
@common
@pass_console
def add(console: Console, /, name: str, disabled: bool, **given: Any) -> None:
    """Add a schedule, such as every night at ten for eight hours:

    poseline schedule add season --cron '0 22 * * *' --window 8h --model rtmo-m --where tag.season=2025
    """
    options = _read(**given)
    if options["timezone"] is None:
        options["timezone"] = get_localzone_name()
    with Bar(console, "preparing the model", None) as bar:
        added = service.add_schedule(
            console.system, name, ScheduleOptions(**options), enabled=not disabled, progress=bar
        )
    print_schedule(console, added, "added")


@schedule.command("edit")
@click.argument("name")
@_options
@click.option("--every-video", is_flag=True, help="Without any condition.")
@click.option("--all-teams", is_flag=True, help="Of all teams.")
@common
@pass_console
def edit(console: Console, /, name: str, every_video: bool, all_teams: bool, **given: Any) -> None:
    """Change a schedule, from its next pass on; what is not named stays. Conditions replace those before.

    With another model, runs that wait for the next pass are cancelled.
    """
    options = _read(**given)
    if every_video:
        if options["selection"] is not None:
            raise UsageError("--every-video goes without conditions")
        options["selection"] = selection_of((), {}, False)
    if all_teams:
        if options["team"] is not None:
            raise UsageError("give --team or --all-teams, not both")
        options["team"] = ""
    with Bar(console, "preparing the model", None) as bar:
        changed, cancelled = service.edit_schedule(
            console.system, name, ScheduleOptions(**options), team=None, progress=bar
        )
    if cancelled:
        console.progress(f"{in_runs(cancelled)} by the model before cancelled")
    print_schedule(console, changed, "changed")


@schedule.command("list")
@click.option("--team", help="Only this team's.")
@common
@pass_console
def list_(console: Console, team: str | None) -> None:
    """List the schedules."""
    found = service.list_schedules(console.system, team=team)
    if console.print_json([schedule_to_dict(each) for each in found]):
        return
    if not found:
        console.print("no schedules yet; `poseline schedule add --help` shows how to make one")
        return
    console.table(
        ("schedule", "team", "cron", "zone", "model", "videos", "next pass"),
        [
            (
                *(printable(each.name), printable(each.team or "all teams"), each.cron, each.timezone, each.model),
                *(printable(str(each.selection)), next_slot(each)),
            )
            for each in found
        ],
    )


@schedule.command("show")
@click.argument("name")
@click.option("--team", help="Only this team's.")
@common
@pass_console
def show(console: Console, name: str, team: str | None) -> None:
    """Show a schedule, its last passes, what is left, and how many nights that takes."""
    report = report_schedule(console.system, service.get_schedule(console.system, name, team=team))
    if console.print_json(report.to_dict()):
        return
    for line in (*schedule_lines(report.schedule), left_line(report)):
        console.print(line)
    if report.passes:
        console.print("")
        print_passes(console, report.passes)


@schedule.command("passes")
@click.argument("name", required=False)
@click.option("--team", help="Only this team's.")
@click.option("--all", "every", is_flag=True, help=f"Every pass, not only the last {_SHOWN}.")
@common
@pass_console
def passes(console: Console, name: str | None, team: str | None, every: bool) -> None:
    """List the last passes, of a schedule or of all, also those that `poseline reprocess` asked for."""
    found = list_passes(console.system, schedule=name, team=team, limit=None if every else _SHOWN)
    if not console.print_json([each.to_dict() for each in found]):
        if found:
            print_passes(console, found)
        else:
            console.print("no passes yet")


@schedule.command("enable")
@click.argument("name")
@click.option("--team", help="Only this team's.")
@common
@pass_console
def enable(console: Console, name: str, team: str | None) -> None:
    """Enable a schedule, from its next slot on."""
    print_schedule(console, service.set_enabled(console.system, name, True, team=team), "enabled")


@schedule.command("disable")
@click.argument("name")
@click.option("--team", help="Only this team's.")
@common
@pass_console
def disable(console: Console, name: str, team: str | None) -> None:
    """Disable a schedule. Chunks in hand end; what its pass did not begin waits until it is enabled again."""
    print_schedule(console, service.set_enabled(console.system, name, False, team=team), "disabled")


@schedule.command("run-now")
@click.argument("name")
@click.option("--team", help="Only this team's.")
@common
@pass_console
def run_now(console: Console, name: str, team: str | None) -> None:
    """Open a pass of a schedule at once."""
    one = service.run_now(console.system, name, team=team)
    progress = PassProgress(*get_pass(console.system, one.id))
    if not console.print_json(progress.to_dict()):
        console.print(f"pass {one.name!r} is open; `poseline schedule show {shlex.quote(name)}` shows how far it is")


@schedule.command("dry-run")
@click.argument("name")
@click.option("--team", help="Only this team's.")
@click.option("--every-night", is_flag=True, help="What all nights together would take, not only the next.")
@common
@pass_console
def dry_run(console: Console, name: str, team: str | None, every_night: bool) -> None:
    """Show what the next pass would take, and how long that takes on the workers there are now."""
    found = service.get_schedule(console.system, name, team=team)
    estimate = estimate_next_pass(console.system, found, every=every_night)
    if not console.print_json({"schedule": found.name, **estimate.to_dict()}):
        for line in estimate_lines(console, estimate):
            console.print(line)


@schedule.command("stop")
@click.argument("name", metavar="SCHEDULE|PASS")
@click.option("--team", help="Only this team's.")
@common
@pass_console
def stop(console: Console, name: str, team: str | None) -> None:
    """End the open pass of a schedule, or one by its name or the first characters of its id.

    Chunks in hand end. What was not begun waits for the schedule's next pass; without a schedule it is cancelled.
    """
    one, cancelled = stop_pass(console.system, _open_pass(console, name, team).id)
    if not console.print_json(
        {**PassProgress(*get_pass(console.system, one.id)).to_dict(), "runs_cancelled": cancelled}
    ):
        waits = f"{in_runs(cancelled)} cancelled" if one.schedule is None else "what is left waits for the next pass"
        console.print(f"pass {one.name!r} ended; {waits}")


@schedule.command("remove")
@click.argument("name")
@click.option("--team", help="Only this team's.")
@common
@pass_console
def remove(console: Console, name: str, team: str | None) -> None:
    """Remove a schedule. Runs that wait for its next pass are cancelled; results and reports stay."""
    cancelled = service.remove_schedule(console.system, name, team=team)
    if not console.print_json({"schedule": name, "removed": True, "runs_cancelled": cancelled}):
        console.print(f"schedule '{name}' removed" + (f", {in_runs(cancelled)} cancelled" if cancelled else ""))


def _open_pass(console: Console, name: str, team: str | None) -> Any:
    try:
        found = service.get_schedule(console.system, name, team=team)
    except NotFound:
        return find_pass(console.system, name, team=team)
    newest = list_passes(console.system, schedule=found.name, limit=1)
    if not newest or newest[0].one.closed_at is not None:
        raise UsageError(f"{name} has no open pass")
    return newest[0].one
