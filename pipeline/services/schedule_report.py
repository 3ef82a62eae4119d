"""How far a schedule is: its passes, what is left, and how many nights that takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipeline.core.cron import Cron
from pipeline.db.engine import transaction
from pipeline.db.passes import PassRow
from pipeline.services.pass_estimate import Estimate, estimate_next_pass
from pipeline.services.pass_list import PassProgress, list_passes
from pipeline.services.schedules import Schedule
from pipeline.services.system import System

_PASSES_SHOWN = 7
#: For how long what was taken in lately tells what will be.
_ARRIVALS_DAYS = 7.0


@dataclass(frozen=True)
class ScheduleReport:
    """A schedule and how far it is.

    Args:
        left: what no pass has analysed yet.
        frames_per_night: of its last passes, else what its budget and window admit at the speed that was measured; None
            where nothing is known.
        frames_new_per_night: of videos that were taken in within the last week and that it has to analyse, too.
        passes: the newest first.
    """

    schedule: Schedule
    left: Estimate
    frames_per_night: float | None
    frames_new_per_night: float
    passes: Sequence[PassProgress]

    @property
    def nights_left(self) -> int | None:
        """Passes until nothing is left; None where that is not known, or never."""
        if not self.left.frames:
            return 0
        if not self.frames_per_night or self.never_ends:
            return None
        return math.ceil(self.left.frames / (self.frames_per_night - self.frames_new_per_night))

    @property
    def never_ends(self) -> bool:
        """Whether as much is taken in as its passes analyse."""
        per_night = self.frames_per_night
        return bool(self.left.frames and per_night and self.frames_new_per_night >= per_night)

    def to_dict(self) -> dict[str, Any]:
        """The schedule and how far it is as JSON fields."""
        return {
            **schedule_to_dict(self.schedule),
            "videos_left": self.left.begun_videos + len(self.left.videos),
            "frames_left": self.left.frames,
            "frames_per_night": self.frames_per_night and round(self.frames_per_night),
            "frames_new_per_night": round(self.frames_new_per_night),
            "nights_left": self.nights_left,
            "never_ends": self.never_ends,
            "passes": [each.to_dict() for each in self.passes],
        }


def schedule_to_dict(schedule: Schedule) -> dict[str, Any]:
    """A schedule as JSON fields."""
    return {
        "schedule": schedule.name,
        "team": schedule.team,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "window_hours": schedule.window_s and round(schedule.window_s / 3600, 3),
        "where": schedule.selection.to_list(),
        "model": schedule.model,
        "fingerprint": schedule.model_fingerprint,
        "budget_frames": schedule.budget_frames,
        "budget_video_hours": schedule.budget_video_s and round(schedule.budget_video_s / 3600, 3),
        "promotion": schedule.promotion,
        "enabled": schedule.enabled,
        "next_slot_at": schedule.next_slot_at and schedule.next_slot_at.isoformat(),
        "created_at": schedule.created_at.isoformat(),
    }


def report_schedule(system: System, schedule: Schedule) -> ScheduleReport:
    """How far a schedule is."""
    left = estimate_next_pass(system, schedule, every=True)
    passes = list_passes(system, schedule=schedule.name, limit=_PASSES_SHOWN)
    with transaction(system.engine) as connection:
        now = system.clock(connection)
    return ScheduleReport(
        schedule, left, _frames_per_night(schedule, left, passes), _new_per_night(schedule, left, now), passes
    )


def _frames_per_night(schedule: Schedule, left: Estimate, passes: Sequence[PassProgress]) -> float | None:
    full: list[int] = [
        each.counts["frames"]
        for each in passes
        if each.one.ended in {"window closed", "budget used up", "next slot"} and _is_like(each.one, schedule)
    ]
    if full:
        return sum(full) / len(full)
    limits = [float(schedule.budget_frames)] if schedule.budget_frames else []
    if left.frames_per_s and schedule.window_s:
        limits.append(left.frames_per_s * schedule.window_s)
    if schedule.budget_video_s and left.video_s:
        limits.append(schedule.budget_video_s * (left.frames - left.begun_frames) / left.video_s)
    return min(limits, default=None)


def _is_like(one: PassRow, schedule: Schedule) -> bool:
    """Whether a pass was of the schedule as it is now."""
    limits = one.budget.frames, one.budget.video_s
    return one.model_fingerprint == schedule.model_fingerprint and limits == (
        schedule.budget_frames,
        schedule.budget_video_s,
    )


def _new_per_night(schedule: Schedule, left: Estimate, now: datetime) -> float:
    first = Cron(schedule.cron, schedule.timezone).next_after(now)
    second = first and Cron(schedule.cron, schedule.timezone).next_after(first)
    if first is None or second is None:
        return 0.0
    new = sum(one.frames for one in left.videos if now - one.created_at < timedelta(days=_ARRIVALS_DAYS))
    return new / _ARRIVALS_DAYS * ((second - first) / timedelta(days=1))
