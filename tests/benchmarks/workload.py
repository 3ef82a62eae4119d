"""Ingest, plan, decode and commit one stored video as a worker does, to measure its memory.

There is no model, so that a video of hours takes minutes; each frame is committed with people in it all the same. All
rows are made in one transaction that is rolled back: no other worker sees them, and nothing stays. Runs as a process
of its own, `python -m tests.benchmarks.workload HOME KEY CHUNKS`, so that its memory can be measured.
"""

from __future__ import annotations

import sys
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import Connection

from pipeline.core.objects import StoredObject
from pipeline.core.poses import FramePoses
from pipeline.db.chunks import claim_chunk, commit_chunk
from pipeline.db.engine import database_errors
from pipeline.db.frames import FrameRow, FrameSpool
from pipeline.db.models import ensure_model
from pipeline.db.runs import insert_run, select_run
from pipeline.db.uploads import insert_video, mark_stored
from pipeline.db.videos import claim_ingest, mark_ready, select_frame_index, select_video
from pipeline.services.ingest import indexed
from pipeline.services.local_copy import local_copy
from pipeline.services.plan import plan_runs
from pipeline.services.system import System, build_system
from pipeline.settings import load_settings
from pipeline.storage.blocks import ObjectSource
from pipeline.video.reader import VideoInfo, VideoReader, probe

SIDE_PX = 384
_LEASE_S = 86_400.0
_PEOPLE = FramePoses(np.ones(2, np.float32), np.ones((2, 4), np.float32), np.ones((2, 17, 3), np.float32))


def work_through(system: System, source: StoredObject, most_chunks: int) -> int:
    """Ingest a stored video and analyse at most so many of its chunks, evenly spread. Returns the frames committed."""
    with database_errors(), system.engine.connect() as connection:
        run_id = _ingest(system, connection, source)
        total = select_run(connection, run_id, team=None).chunks_total or 0
        chosen = np.unique(np.linspace(0, total - 1, min(total, most_chunks)).round().astype(int))
        frames = sum(_analyse(system, connection, run_id, int(idx)) for idx in chosen)
        connection.rollback()
    return frames


def _ingest(system: System, connection: Connection, source: StoredObject) -> UUID:
    # Unique names: an uncommitted row makes other transactions with its name wait.
    name = f"bench-{uuid4()}"
    video_id, _ = insert_video(connection, name, name, bucket=source.bucket, key=source.key)
    mark_stored(connection, video_id, source)
    lease = claim_ingest(connection, video_id, name, _LEASE_S)
    assert lease is not None
    sha256, info = read_video(system, source)
    ensure_model(connection, name, name, {})
    run_id, _ = insert_run(connection, video_id, name)
    mark_ready(connection, lease, indexed(sha256, info))
    plan_runs(connection, system.settings, video_id)
    return run_id


def read_video(system: System, source: StoredObject) -> tuple[str, VideoInfo]:
    """What ingest does with a video's bytes: SHA-256, and what the probe finds."""
    with local_copy(system, source) as whole:
        info = probe(whole.bytes, system.limits)
        return whole.sha256(), info


def _analyse(system: System, connection: Connection, run_id: UUID, idx: int) -> int:
    claimed = claim_chunk(connection, run_id, idx, "bench", _LEASE_S)
    assert claimed is not None
    video = select_video(connection, claimed.video_id, team=None)
    assert video.source is not None
    index, first = select_frame_index(connection, claimed.video_id), claimed.plan.first_frame
    reader = VideoReader(ObjectSource(system.store, video.source), index, video.size, system.limits)
    frames = reader.frames(first, first + claimed.plan.frames, SIDE_PX)
    with FrameSpool(run_id, idx, system.settings.scratch_path) as spool:
        for frame in frames:
            spool.add(FrameRow(frame.number, frame.pts, _PEOPLE))
        commit_chunk(connection, claimed, spool.pieces())
        return spool.frames


def main(home: Path, key: str, most_chunks: int) -> None:
    """One video, by its key in the store of the settings; prints the frames committed."""
    system = build_system(load_settings(home))
    try:
        frames = work_through(system, system.store.head(key), most_chunks)
    finally:
        system.close()
    sys.stdout.write(f"{frames}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
