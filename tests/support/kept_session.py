"""What workers make of a kept live session, here: its video is ingested, and its run fetched and finished."""

from __future__ import annotations

from uuid import UUID

from pipeline.db.frames import FrameRow, iter_frame_rows
from pipeline.db.runs import RunRow
from pipeline.inference.engines.placement import Placement
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.request import request_run
from pipeline.services.system import System
from tests.support.analysis import MODEL
from tests.support.harness import run_of, sql, wait_until
from tests.support.oracle_maker import LYING, read_pose


def video_of(system: System, session: str) -> UUID:
    """The video that a session became, once it is stored."""
    query = "SELECT v.id FROM live_session s JOIN video v ON v.id = s.video_id WHERE s.id = :id AND v.state = 'stored'"
    [(video_id,)] = wait_until(lambda: sql(system, query, id=UUID(session)), 20)
    return UUID(str(video_id))


def live_run_of(system: System, session: str) -> RunRow:
    """The run of a session's poses, done as workers do it."""
    video_id = video_of(system, session)
    ingest_video(system, video_id, "w")
    [(run_id,)] = sql(system, "SELECT id FROM run WHERE video_id = :id", id=video_id)
    return done(system, UUID(str(run_id)))


def full_run_of(system: System, video_id: UUID) -> RunRow:
    """A run of all of a video's frames by the same model."""
    return done(system, request_run(system, video_id, MODEL).run_id)


def done(system: System, run_id: UUID) -> RunRow:
    """A run, analysed and finished here."""
    models = ModelCache(system, Placement("cpu"))
    for (idx,) in sql(system, "SELECT idx FROM chunk WHERE run_id = :id ORDER BY idx", id=run_id):
        detect_chunk(system, models, run_id, int(str(idx)), "w")
    finish_run(system, run_id, "w")
    return run_of(system, run_id)


def numbers_of(system: System, run_id: UUID, shape: tuple[int, int] = LYING) -> dict[int, int | str]:
    """By pts, the number that the poses of a frame of that shape are of, or why it has none."""
    return {row.pts: _number(row, shape) for row in iter_frame_rows(system.engine, run_id)}


def _number(row: FrameRow, shape: tuple[int, int]) -> int | str:
    if row.missing is not None:
        return row.missing
    [keypoints] = row.poses.keypoints
    return read_pose(keypoints, *shape)
