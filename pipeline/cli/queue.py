"""`poseline queue`: what waits, how fast it goes, and when each run will be done."""

from __future__ import annotations

from datetime import timedelta

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.tagging import select_by_tag
from pipeline.core.tags import Tags
from pipeline.services.queue_report import QueueReport, RunForecast, get_queue, set_share
from pipeline.services.runs import short_id
from pipeline.services.upload import printable

_SHOWN = 20


@click.group(invoke_without_command=True)
@click.option("--team", help="Of this team only.")
@select_by_tag
@click.option("--all", "every", is_flag=True, help=f"Every run, not only the first {_SHOWN}.")
@common
@pass_console
@click.pass_context
def queue(context: click.Context, console: Console, team: str | None, tags: Tags, every: bool) -> None:
    """Show the queue by lane and team, its speed, and when each run will be done.

    The lanes are live, fresh and reprocess. A lane comes before the next, which keeps its share all the same; within a
    lane teams share by weight, and a team's runs go by deadline, then age.
    """
    if context.invoked_subcommand is None:
        report = get_queue(console.system, team=team, tags=tags)
        _print_report(console, report, every=every, is_part=team is not None or bool(tags))


@queue.command("share")
@click.argument("lane")
@click.argument("share", type=click.FloatRange(0, 1, max_open=True))
@common
@pass_console
def share(console: Console, lane: str, share: float) -> None:
    """Keep a SHARE, such as 0.1, of the chunks that are sent for LANE while it has work. Applies from now on."""
    report = set_share(console.system, lane, share)
    if not console.print_json(report.to_dict()["lanes"]):
        console.print(_lanes_line(report))


def _print_report(console: Console, report: QueueReport, *, every: bool, is_part: bool) -> None:
    if console.print_json(report.to_dict()):
        return
    if not report.queues:
        console.print("nothing of that is in the queue" if is_part else "the queue is empty")
    else:
        console.table(
            ("lane", "team", "runs", "not ingested", "frames left", "frames/s", "done in"),
            [
                (
                    *(each.lane, printable(each.team), str(each.runs), str(each.waiting)),
                    *(f"{each.frames_left:,}", f"{each.frames_per_s:.1f}"),
                    "paused" if each.paused else _duration(each.done_in_s),
                )
                for each in report.queues
            ],
        )
        shown = report.runs if every else report.runs[:_SHOWN]
        console.print("")
        console.table(
            ("run", "video", "team", "lane", "state", "frames left", "done at", "deadline"),
            [_run_row(report, run) for run in shown],
        )
        if len(shown) < len(report.runs):
            console.print(f"and {len(report.runs) - len(shown)} more; --all shows them")
        console.print("")
    for reason in report.no_room:
        console.print(f"no videos are taken in: {reason}")
    console.print(_lanes_line(report))


def _run_row(report: QueueReport, run: RunForecast) -> tuple[str | None, ...]:
    done_at = None if run.done_in_s is None else report.at + timedelta(seconds=run.done_in_s)
    deadline = None if run.deadline is None else f"{run.deadline.astimezone():%m-%d %H:%M}{' late' if run.late else ''}"
    return (
        *(short_id(run.run_id), printable(run.video), printable(run.team), run.lane, run.state),
        None if run.frames_left is None else f"{run.frames_left:,}",
        "paused" if run.paused else None if done_at is None else f"{done_at.astimezone():%m-%d %H:%M:%S}",
        deadline,
    )


def _lanes_line(report: QueueReport) -> str:
    lanes = ", ".join(
        f"{row.lane.name} {row.lane.share:.0%}{' (paused)' if row.paused_at else ''}" for row in report.lanes
    )
    slots = f"{report.slots} slots" if report.slots != 1 else "1 slot"
    return f"{slots if report.slots else 'no worker'}; kept for each lane: {lanes}"


def _duration(seconds: float | None) -> str | None:
    """`40 s`, `12 min`, `3 h 20 min`; None where it is not known."""
    if seconds is None:
        return None
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
