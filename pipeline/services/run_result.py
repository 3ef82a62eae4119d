"""The result of a run that has ended: its frames in order, and what they are of.

A run that failed or was cancelled has a result, too, if some of its frames were analysed; the others are missing, with
the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pipeline.core.frame_index import FrameIndex
from pipeline.core.poses import FramePoses
from pipeline.core.states import RunState, is_final
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, has_frames, iter_frame_rows
from pipeline.db.runs import RunRow, select_run
from pipeline.db.videos import VideoRow, select_frame_index, select_video
from pipeline.errors import RunFailed
from pipeline.services.frame_pass import Tally
from pipeline.services.system import System


@dataclass(frozen=True)
class RunResult:
    """A run that has ended, with its video and the frame index."""

    run: RunRow
    video: VideoRow
    index: FrameIndex

    def summary(self, tally: Tally) -> dict[str, Any]:
        """The run's numbers: as the frame check left them, else counted in this pass."""
        return dict(self.run.summary or {}) if self.run.state is RunState.DONE else tally.summary(self.index, None)

    def iter_rows(self, system: System) -> Iterator[FrameRow]:
        """Yield every frame of the video in order; those that were not analysed have no poses and a reason.

        Raises:
            ServiceUnavailable: Postgres does not answer.
        """
        rows = iter_frame_rows(system.engine, self.run.id)
        if self.run.state is RunState.DONE:  # every frame is there: it passed the frame check
            return rows
        ended = "was cancelled" if self.run.state is RunState.CANCELLED else "failed"
        return _fill_in(rows, self.index, f"not analysed: the run {ended}")


def load_result(system: System, run_id: UUID, *, team: str | None) -> RunResult:
    """The result of one run.

    Raises:
        NotFound: there is no such run, or it is another team's.
        RunFailed: it has not ended, or none of its frames were analysed.
    """
    with transaction(system.engine) as connection:
        run = select_run(connection, run_id, team=team)
        short = str(run.id)[:8]
        if not is_final(run.state):
            raise RunFailed(f"run {short} is {run.state}: wait until it has ended, or end it with `poseline cancel`")
        if run.state is not RunState.DONE and not has_frames(connection, run_id):
            why = f" ({run.reason})" if run.reason and run.reason != run.state else ""
            raise RunFailed(f"run {short} is {run.state}{why}, and none of its frames were analysed")
        video = select_video(connection, run.video_id, team=team)
        return RunResult(run, video, select_frame_index(connection, run.video_id))


def _fill_in(rows: Iterable[FrameRow], index: FrameIndex, reason: str) -> Iterator[FrameRow]:
    expected = 0
    for row in rows:
        yield from _missing(index, range(expected, min(row.frame, len(index))), reason)
        yield row
        expected = row.frame + 1
    yield from _missing(index, range(expected, len(index)), reason)


def _missing(index: FrameIndex, frames: range, reason: str) -> Iterator[FrameRow]:
    for frame in frames:
        yield FrameRow(frame, int(index.pts[frame]), FramePoses.empty(), reason)
