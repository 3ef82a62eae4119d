"""Cut runs into chunks as soon as their video has a frame index."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.chunk_plan import frames_to_decode, plan_chunks
from pipeline.db.runs import queue_run, select_plannable_runs
from pipeline.db.videos import select_frame_index
from pipeline.settings import Settings


def plan_runs(
    connection: Connection, settings: Settings, video_id: UUID | None = None, limit: int | None = None
) -> int:
    """Plan the runs whose video is ready, of one video or of all, at most `limit`. Returns how many."""
    planned = 0
    for run_id, of_video in select_plannable_runs(connection, video_id, limit):
        plans = plan_chunks(
            select_frame_index(connection, of_video),
            settings.chunk_frames,
            first_frames=settings.first_chunk_frames or None,
        )
        queue_run(connection, run_id, plans, frames_to_decode(plans))
        planned += 1
    return planned
