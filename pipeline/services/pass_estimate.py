"""What a pass would take, and how long: nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.budget import Budget
from pipeline.db.engine import transaction
from pipeline.db.pass_figures import sum_up_begun
from pipeline.db.passes import Candidate, Scope, count_selected, select_candidates
from pipeline.db.queue_state import select_model_pace
from pipeline.db.workers import select_workers
from pipeline.inference.guide import worse_models
from pipeline.services.schedules import Schedule
from pipeline.services.system import System

#: For how long the frames that wait take of a budget in hours of video.
_USUAL_FRAMES_PER_S = 30.0


@dataclass(frozen=True)
class Estimate:
    """What a pass would do.

    Args:
        selected: how many videos are, with a run by this model or without.
        videos: that it would take, in order, behind those that were begun.
        begun_videos, begun_frames: that a pass has begun and not ended.
        frames: of all of them.
        video_s: length of `videos`.
        frames_per_s: of all workers there are now, as measured of this model lately; None where it never ran here or
            no worker is there.
        hours: that it takes at that speed, with the workers to itself.
    """

    model: str
    selected: int
    videos: Sequence[Candidate]
    begun_videos: int
    begun_frames: int
    frames: int
    video_s: float
    slots: int
    frames_per_s: float | None

    @property
    def hours(self) -> float | None:
        return None if not self.frames_per_s else self.frames / self.frames_per_s / 3600

    def to_dict(self) -> dict[str, Any]:
        """The estimate as JSON fields."""
        return {
            "model": self.model,
            "selected": self.selected,
            "videos": [
                {"video_id": str(one.video_id), "video": one.name, "team": one.team, "frames": one.frames}
                for one in self.videos
            ],
            "begun_videos": self.begun_videos,
            "begun_frames": self.begun_frames,
            "frames": self.frames,
            "video_hours": round(self.video_s / 3600, 3),
            "slots": self.slots,
            "frames_per_s": self.frames_per_s and round(self.frames_per_s, 2),
            "hours": None if self.hours is None else round(self.hours, 3),
        }


def estimate_next_pass(system: System, schedule: Schedule, *, every: bool = False) -> Estimate:
    """What the next pass of a schedule would take within its budget; all nights together where `every` is true."""
    scope = scope_of(schedule)
    with transaction(system.engine) as connection:
        begun_videos, begun_frames = sum_up_begun(connection, schedule.id)
        videos = select_candidates(connection, scope, system.clock(connection), worse_models(scope.model))
    budget = Budget(schedule.budget_frames, schedule.budget_video_s)
    if not every:
        videos = _within(budget.less(begun_frames, _USUAL_FRAMES_PER_S), videos)
    return estimate_videos(system, scope, videos, begun_videos, begun_frames)


def scope_of(schedule: Schedule) -> Scope:
    """Which videos a schedule's passes may take."""
    return Scope(schedule.model_fingerprint, schedule.model, schedule.selection, schedule.team_id, schedule.id)


def estimate_videos(
    system: System, scope: Scope, videos: Sequence[Candidate], begun_videos: int = 0, begun_frames: int = 0
) -> Estimate:
    """How long it takes to analyse these videos, by the workers there are now."""
    with transaction(system.engine) as connection:
        slots = sum(worker.slots for worker in select_workers(connection) if worker.draining_at is None)
        selected = count_selected(connection, scope, system.clock(connection), worse_models(scope.model))
        slot_s_per_frame = select_model_pace(connection, scope.model_fingerprint)
    return Estimate(
        scope.model,
        selected,
        videos,
        begun_videos,
        begun_frames,
        begun_frames + sum(one.frames for one in videos),
        sum(one.frames / one.frames_per_s for one in videos),
        slots,
        slots / slot_s_per_frame if slots and slot_s_per_frame else None,
    )


def _within(budget: Budget, videos: Sequence[Candidate]) -> list[Candidate]:
    """The videos that a budget reaches; the last one perhaps in part."""
    taken = []
    for one in videos:
        room = budget.room_frames(one.frames_per_s)
        if room < 1:
            break
        taken.append(one)
        budget = budget.less(int(min(room, one.frames)), one.frames_per_s)
    return taken
