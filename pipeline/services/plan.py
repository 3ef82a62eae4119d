"""Cut runs into chunks as soon as their video has a frame index."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.chunk_plan import frames_to_decode, plan_chunks
from pipeline.db.runs import queue_run, select_plannable_runs
from pipeline.db.videos import select_frame_index
from pipeline.settings import Settings


def plan_runs(connection: Connection, settings: Settings, video_id: UUID) -> int:
    """Plan the runs that wait for a video if it is ready. Returns how many."""
    planned = select_plannable_runs(connection, video_id)
    for run_id, of_video in planned:
        plans = plan_chunks(
            select_frame_index(connection, of_video),
            settings.chunk_frames,
            first_frames=settings.first_chunk_frames or None,
        )
        queue_run(connection, run_id, plans, frames_to_decode(plans))
    return len(planned)
