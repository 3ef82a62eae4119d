"""Runs of millions of frames without a video: rows straight into Postgres, and what finishing and exporting them takes.

`python -m tests.support.long_run RUN finish|jsonl|csv|parquet` does one of these in a process of its own and prints its
seconds and by how many bytes its memory grew at most.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import get_args
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import text

from pipeline.core.frame_index import FrameIndex
from pipeline.core.objects import StoredObject
from pipeline.core.poses import FramePoses
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, copy_frames, encode_frames
from pipeline.db.models import ensure_model
from pipeline.db.runs import insert_run
from pipeline.db.uploads import insert_video, mark_stored
from pipeline.db.videos import IndexedVideo, claim_ingest, mark_ready
from pipeline.inference.catalogue import BUNDLED_MODEL, find_entry
from pipeline.services.export import export_run
from pipeline.services.finish import finish_run
from pipeline.services.plan import plan_runs
from pipeline.services.pose_writers import Format
from pipeline.services.system import System, build_system
from pipeline.settings import Settings, load_settings
from tests.support.harness import environment

KEYFRAME_EVERY = 250
#: Written by COPY; Postgres repeats them for the rest.
_COPIED_FRAMES = 10_000
_REPEAT = """
INSERT INTO frame (run_id, frame, chunk_idx, pts, people, missing, scores, boxes, keypoints)
SELECT run_id, frame + turn * :block, chunk_idx, pts + CAST(turn AS bigint) * :block * 3000, people, missing, scores,
boxes, keypoints FROM generate_series(1, :turns) AS turn, frame WHERE run_id = :run AND frame < :block
AND frame + turn * :block < :frames
ORDER BY turn, frame
"""


@dataclass(frozen=True)
class Cost:
    """What one step took: seconds, those of this process's CPU, and the growth of its memory at its peak."""

    seconds: float
    cpu_s: float
    grown_bytes: int


def make_index(frames: int) -> FrameIndex:
    """The index of a video at 30 frames a second, with packets of varying size as an encoder makes them."""
    numbers = np.arange(frames)
    sizes = 4_000 + numbers * 7919 % 6_007 + np.where(numbers % KEYFRAME_EVERY, 0, 40_000)
    return FrameIndex(
        time_base=Fraction(1, 90_000),
        pts=numbers * 3_000,
        keyframe=numbers % KEYFRAME_EVERY == 0,
        position_bytes=np.cumsum(sizes) - sizes,
        size_bytes=sizes,
    )


def make_long_run(system: System, frames: int, people: int = 2, video: Path | None = None) -> UUID:
    """A run with all its frames committed that only has to be finished.

    Args:
        video: its file, of these frames at 30 a second; a placeholder without.
    """
    name = f"long-{uuid4()}"
    weights = defaultdict(lambda: hashlib.sha256(b"no weights").hexdigest())
    spec = find_entry(BUNDLED_MODEL).spec(weights)
    index = make_index(frames)
    with transaction(system.engine) as connection:
        video_id, key = insert_video(connection, "team", name, bucket=system.store.bucket)
        mark_stored(connection, video_id, system.store.put_file(video, key) if video else _placeholder(system, key))
        lease = claim_ingest(connection, video_id, name, 3600)
        assert lease is not None
        ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
        run_id, _ = insert_run(connection, video_id, spec.fingerprint)
        found = IndexedVideo(hashlib.sha256(name.encode()).hexdigest(), "mp4", "h264", 1280, 720, 0, index)
        mark_ready(connection, lease, found)
        plan_runs(connection, system.settings.model_copy(update={"chunk_frames": 100_000}), video_id)
    block = min(frames, _COPIED_FRAMES)
    with transaction(system.engine) as connection:
        copy_frames(connection, encode_frames(run_id, 0, _rows(index, range(block), people)))
        repeat = {"run": run_id, "block": block, "frames": frames, "turns": -(-frames // block) - 1}
        connection.execute(text(_REPEAT), repeat)
    with transaction(system.engine) as connection:
        connection.execute(text("DELETE FROM chunk WHERE run_id = :id"), {"id": run_id})
        for state in ("running", "finishing"):
            connection.execute(
                text("UPDATE run SET state = :state, chunks_pending = 0 WHERE id = :id"), {"id": run_id, "state": state}
            )
    return run_id


def _placeholder(system: System, key: str) -> StoredObject:
    path = system.settings.scratch_path / "placeholder"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no video")
    return system.store.put_file(path, key)


def _rows(index: FrameIndex, numbers: range, people: int) -> Iterator[FrameRow]:
    """Every tenth frame is empty, the others have people."""
    rng = np.random.default_rng(numbers.start)
    many = [
        FramePoses(
            rng.random(people, np.float32),
            1280 * rng.random((people, 4), np.float32),
            720 * rng.random((people, 17, 3), np.float32),
        )
        for _ in range(64)
    ]
    for number in numbers:
        yield FrameRow(number, int(index.pts[number]), many[number % 64] if number % 10 else FramePoses.empty())


def cost_of(settings: Settings, run_id: UUID, step: str) -> Cost:
    """Finish a run, or export it in a format, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.long_run", str(run_id), step],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def main(run_id: UUID, step: str) -> None:
    """Do one step to a run; prints seconds and bytes."""
    system = build_system(load_settings(Path(os.environ["POSELINE_HOME"])))
    target = system.settings.scratch_path / f"{run_id}.{step}"
    with transaction(system.engine):
        before_bytes = _peak_bytes()
    begun_at, cpu_s = time.perf_counter(), time.process_time()
    if step == "finish":
        finish_run(system, run_id, "worker")
    else:
        form = next(form for form in get_args(Format) if form == step)
        export_run(system, run_id, target, form, team=None)
    seconds, cpu_s = time.perf_counter() - begun_at, time.process_time() - cpu_s
    for path in target.parent.glob(f"{run_id}.*"):
        path.unlink()
    system.close()
    sys.stdout.write(json.dumps([seconds, cpu_s, _peak_bytes() - before_bytes]) + "\n")


def _peak_bytes() -> int:
    """Of this process; `ru_maxrss` begins with its parent's."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main(UUID(sys.argv[1]), sys.argv[2])
