"""Compare two runs of one video: who was found and lost, how far keypoints moved, and which frames changed most."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from uuid import UUID

from pipeline.core.comparison import Comparison
from pipeline.core.comparison_figures import ComparisonFigures
from pipeline.core.poses import FramePoses
from pipeline.core.progress import SILENT, Progress
from pipeline.db.comparisons import select_comparison
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, iter_frame_pairs
from pipeline.db.promotions import select_current, select_undoable
from pipeline.db.runs import RunRow, select_run
from pipeline.errors import NotFound, UsageError
from pipeline.services.run_result import load_result
from pipeline.services.runs import find_run, short_id
from pipeline.services.system import System
from pipeline.services.upload_steps import printable


@dataclass(frozen=True)
class RunComparison:
    """How the run `after` differs from `before`, an earlier run of the same video."""

    before: RunRow
    after: RunRow
    figures: ComparisonFigures

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON fields."""
        return {
            "video": self.after.video,
            "video_id": str(self.after.video_id),
            "team": self.after.team,
            "before": _named(self.before),
            "after": _named(self.after),
            **self.figures.to_dict(),
        }


def compare_frames(
    system: System,
    before: RunRow,
    after: RunRow,
    *,
    frames: int,
    time_base: Fraction,
    on_frame: Callable[[], None],
) -> ComparisonFigures:
    """Compare the frames of two runs of one video in one pass; memory does not grow with the video.

    Args:
        frames: of the video.
        on_frame: called after each; what it raises ends the pass.

    Raises:
        ServiceUnavailable: Postgres does not answer.
    """
    comparison = Comparison(_keypoint_names(before), _keypoint_names(after), frames=frames, time_base=time_base)
    with closing(iter_frame_pairs(system.engine, before.id, after.id)) as pairs:
        for one, other in pairs:
            either = one if one is not None else other
            assert either is not None
            comparison.add(either.frame, either.pts, _poses(one), _poses(other))
            on_frame()
    return comparison.figures()


def compare_runs(
    system: System, before_id: UUID, after_id: UUID, *, team: str | None, progress: Progress = SILENT
) -> RunComparison:
    """Compare any two runs of one video that have ended. What is kept of the two is not computed again.

    Raises:
        NotFound: there is no such run, or it is another team's.
        RunFailed: a run has not ended, or none of its frames were analysed.
        UsageError: they are runs of two videos.
    """
    before, after = (load_result(system, each, team=team) for each in (before_id, after_id))
    if before.video.id != after.video.id:
        names = " and ".join(f"{short_id(each.run.id)} of {printable(each.run.video)}" for each in (before, after))
        raise UsageError(f"runs of one video can be compared, not {names}; `poseline runs --name …` lists a video's")
    with transaction(system.engine) as connection:
        kept = select_comparison(connection, after_id)
    if kept is not None and kept[0] == before_id:
        return RunComparison(before.run, after.run, kept[1])
    progress.total(len(after.index))
    figures = compare_frames(
        system,
        before.run,
        after.run,
        frames=len(after.index),
        time_base=after.index.time_base,
        on_frame=progress.advance,
    )
    return RunComparison(before.run, after.run, figures)


def find_pair(system: System, name: str, other: str | None, *, team: str | None) -> tuple[UUID, UUID]:
    """The ids of the two runs that are meant: the earlier one, then the later one.

    Args:
        name: a run, or a video, which stands for its newest run that is done.
        other: a run that is compared with the one called `name`. If None, that one is compared with its video's current
            run or, if it is the current one, with the one before it.

    Raises:
        NotFound: there is no such run, or nothing to compare it with.
    """
    if other is not None:
        return find_run(system, name, team=team, prefer="current"), find_run(system, other, team=team, prefer="current")
    run_id = find_run(system, name, team=team, prefer="done")
    with transaction(system.engine) as connection:
        run = select_run(connection, run_id, team=team)
        current = select_current(connection, run.video_id)
        if current is not None and current != run_id:
            return current, run_id
        entry = select_undoable(connection, run.video_id)
        kept = select_comparison(connection, run_id)
    if entry is not None and entry.run_id == run_id and entry.previous_run_id is not None:
        return entry.previous_run_id, run_id
    if kept is not None:
        return kept[0], run_id
    raise NotFound(
        f"{printable(run.video)} has no other run to compare run {short_id(run_id)} with; name two runs, or analyse it "
        "by another model: `poseline analyze --model …`"
    )


def _poses(row: FrameRow | None) -> FramePoses | None:
    return None if row is None or row.missing is not None else row.poses


def _keypoint_names(run: RunRow) -> tuple[str, ...]:
    """Also of a model that another version of Poseline described in other fields."""
    return tuple(map(str, run.model_json.get("keypoint_names", ())))


def _named(run: RunRow) -> dict[str, Any]:
    return {
        "run_id": str(run.id),
        "model": run.model_name,
        "fingerprint": run.model_fingerprint,
        "state": run.state,
        "is_current": run.is_current,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }
