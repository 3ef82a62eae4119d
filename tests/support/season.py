"""A season's queue, made by the database itself: many open runs of many chunks, over videos that nobody has to read."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from sqlalchemy import text

from pipeline.core.frame_index import FrameIndex
from pipeline.db.engine import transaction
from pipeline.services.system import System

_TEAMS = "INSERT INTO team (name) SELECT 'team ' || n FROM generate_series(1, :teams) AS n ON CONFLICT DO NOTHING"
_MODEL = """
INSERT INTO model (fingerprint, name, spec)
VALUES ('f', 'season', '{"keypoint_names": ["nose"], "skeleton": []}') ON CONFLICT DO NOTHING
"""
_VIDEOS = """
INSERT INTO video (team_id, name, state, bucket, object_key, owned, etag, size_bytes, sha256, width, height,
                   time_base_num, time_base_den, frames, first_pts, last_pts, frame_index)
SELECT (SELECT id FROM team WHERE name = 'team ' || (1 + n % :teams)), 'match-' || n || '.mp4', 'ready', 'b', 'k', true,
       '"e"', 1, gen_random_uuid()::text, 4, 4, 1, 30, :frames, 0, :frames - 1, :frame_index
FROM generate_series(1, :runs) AS n
"""
_ONE_AFTER_THE_OTHER = """
UPDATE video SET created_at = now() - interval '1 day' + place * interval '1 s'
FROM (SELECT id, row_number() OVER (ORDER BY length(name), name) AS place FROM video) AS placed
WHERE placed.id = video.id
"""
_RUNS = """
INSERT INTO run (video_id, team_id, model_fingerprint, precision, lane, state, chunks_total, chunks_pending, created_at,
                 due_at)
SELECT id, team_id, 'f', 'fp32', :lane, 'queued', :chunks, :chunks, made_at, made_at
FROM (SELECT *, now() - random() * interval '1 day' AS made_at FROM video) AS video
WHERE NOT EXISTS (SELECT FROM run WHERE video_id = video.id)
"""
_CHUNKS = """
INSERT INTO chunk (run_id, idx, state, first_frame, frames, start_pts, end_pts, seek_pts)
SELECT run.id, idx, 'ready', idx * :per_chunk, :per_chunk, idx * :per_chunk, (idx + 1) * :per_chunk, idx * :per_chunk
FROM run CROSS JOIN generate_series(0, :chunks - 1) AS idx
WHERE NOT EXISTS (SELECT FROM chunk WHERE run_id = run.id)
"""


def fill_videos(system: System, *, videos: int, frames: int = 120, teams: int = 1, per_keyframe: int = 30) -> None:
    """Make ready videos at 30 frames a second that nobody has analysed, spread over `teams` teams, taken in one after
    the other."""
    every = np.arange(frames)
    index = FrameIndex(Fraction(1, 30), every, every % per_keyframe == 0, np.full(frames, -1), np.ones(frames, int))
    values = {"runs": videos, "teams": teams, "frames": frames, "frame_index": index.to_bytes()}
    with transaction(system.engine) as connection:
        for statement in (_TEAMS, _MODEL, _VIDEOS):
            connection.execute(text(statement), values)
        connection.execute(text(_ONE_AFTER_THE_OTHER))


def fill(
    system: System, *, runs: int, chunks: int = 100, per_chunk: int = 12, teams: int = 10, lane: str = "fresh"
) -> None:
    """Make `runs` open runs of `chunks` chunks each, spread over `teams` teams. Takes half a minute for a million."""
    frames = chunks * per_chunk
    every = np.arange(frames)
    index = FrameIndex(Fraction(1, 30), every, every % per_chunk == 0, np.full(frames, -1), np.ones(frames, int))
    values = {
        "runs": runs,
        "chunks": chunks,
        "per_chunk": per_chunk,
        "frames": frames,
        "teams": teams,
        "lane": lane,
        "frame_index": index.to_bytes(),
    }
    with transaction(system.engine) as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        for statement in (_TEAMS, _MODEL, _VIDEOS, _RUNS, _CHUNKS):
            connection.execute(text(statement), values)
    with transaction(system.engine) as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("ANALYZE"))
