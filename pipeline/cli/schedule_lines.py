"""Schedules, as lines for people."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from pipeline.cli.console import Console
from pipeline.services.schedule_report import ScheduleReport, schedule_to_dict
from pipeline.services.schedules import Schedule
from pipeline.services.upload_steps import printable


def print_schedule(console: Console, found: Schedule, what: str) -> None:
    """Print a schedule after it was added, changed, enabled or disabled."""
    if not console.print_json(schedule_to_dict(found)):
        console.print(f"schedule '{found.name}' {what}")
        for line in schedule_lines(found)[1:]:
            console.print(line)


def schedule_lines(found: Schedule) -> list[str]:
    """A schedule, line by line."""
    budgets = [f"{found.budget_frames:,} frames"] if found.budget_frames else []
    budgets += [f"{_in_hours(found.budget_video_s)} of video"] if found.budget_video_s else []
    window = f", for {_in_hours(found.window_s)}" if found.window_s else ", until the next"
    return [
        f"schedule: {printable(found.name)}",
        f"when:     {found.cron} in {found.timezone}{window}; next: {next_slot(found)}",
        f"videos:   {printable(str(found.selection))}, of {printable(found.team or 'all teams')}",
        f"model:    {found.model}; becomes current: {found.promotion}",
        f"a night:  {' and '.join(budgets) or 'without a limit'}",
    ]


def left_line(report: ScheduleReport) -> str:
    """What a schedule has left to do, and how many nights that takes."""
    left, nights = report.left, report.nights_left
    videos = left.begun_videos + len(left.videos)
    if not videos:
        return "left:     nothing; every such video has a run by this model"
    amount = f"left:     {videos:,} {'video' if videos == 1 else 'videos'}, {left.frames:,} frames"
    if report.never_ends:
        return (
            f"{amount}; never ends: {report.frames_new_per_night:,.0f} frames a night are taken in, "
            f"{report.frames_per_night:,.0f} are analysed; raise its window or budget, or add workers"
        )
    if nights is None:
        return f"{amount}; how many nights that takes is known after the first pass"
    return f"{amount}: {nights} {'night' if nights == 1 else 'nights'} at {report.frames_per_night:,.0f} frames a night"


def next_slot(found: Schedule) -> str:
    """When its next pass is due, in its own time zone."""
    if not found.enabled:
        return "disabled"
    moment: datetime | None = found.next_slot_at
    return "never" if moment is None else f"{moment.astimezone(ZoneInfo(found.timezone)):%a %Y-%m-%d %H:%M}"


def _in_hours(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def in_runs(count: int) -> str:
    """`1 run is`, `3 runs are`."""
    return "1 run is" if count == 1 else f"{count} runs are"
