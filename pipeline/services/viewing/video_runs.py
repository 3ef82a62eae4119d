"""A video with its runs, as its page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pipeline.db.engine import transaction
from pipeline.db.run_search import select_runs_of_video
from pipeline.db.runs import RunRow
from pipeline.db.videos import VideoRow, select_video
from pipeline.services.system import System


@dataclass(frozen=True)
class VideoWithRuns:
    """A video, and its runs with the current one first, then the newest."""

    video: VideoRow
    runs: Sequence[RunRow]


def load_video(system: System, video_id: UUID, *, team: str | None) -> VideoWithRuns:
    """A video with its runs.

    Raises:
        NotFound: there is no such video, or it is another team's.
    """
    with transaction(system.engine) as connection:
        video = select_video(connection, video_id, team=team)
        runs = select_runs_of_video(connection, video_id, team=team)
    return VideoWithRuns(video, sorted(runs, key=lambda run: not run.is_current))
