"""The whole system held to the promise: every frame's pose tells the number that was painted on that very frame.

The model is the oracle, so what Postgres holds in the end proves that no frame was lost, doubled, foreign, or shown
another way than its file asks.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from pipeline.inference.weights.checksums import sha256_of, write_checksums
from pipeline.services.system import System
from tests.support.case_maker import Case
from tests.support.harness import ask, processes, sql, wait_done
from tests.support.oracle_maker import make_oracle, read_pose
from tests.support.plain_decode import plain_decode
from tests.support.video_cases import CASES

MODEL = "rtmo-t"
CHUNK_FRAMES = 7
VIDEOS = (
    "h264_open_gop",
    "hevc_rasl_ts",
    "vp9_superframes",
    "vfr_mkv",
    "missing_pts_avi",
    "backwards_pts_ts",
    "trimmed",
    "turned_270_mirrored",
    "wide_pixels",
    "new_size_webm",
)


def test_every_pose_tells_the_number_of_its_own_frame(system: System, tmp_path: Path) -> None:
    settings = system.settings.model_copy(update={"chunk_frames": CHUNK_FRAMES})
    settings.models_path.mkdir(parents=True)
    oracle = make_oracle(settings.models_path / f"{MODEL}.onnx")
    write_checksums(settings.models_path, {MODEL: sha256_of(oracle)})
    asking = System(settings, system.engine, system.store, system.queue)
    with processes(settings, tmp_path / "logs") as running:
        running.worker("--slots", "2")
        runs = {}
        for name in VIDEOS:
            folder = tmp_path / name
            folder.mkdir()
            path = CASES[name].make(folder)
            runs[name] = (path, ask(asking, path, model=MODEL))
        for name, (path, run_id) in runs.items():
            run = wait_done(system, run_id)
            if not CASES[name].indexed_by_position:
                assert (run.chunks_total or 0) > 1, f"{name} was hardly cut"
            hold_against_the_pixels(system, run_id, path, CASES[name])


def hold_against_the_pixels(system: System, run_id: UUID, path: Path, case: Case) -> None:
    """The frames in Postgres are those of a plain decode: number by number, time by time."""
    ((width, height, num, den),) = sql(
        system,
        "SELECT v.width, v.height, v.time_base_num, v.time_base_den FROM run r JOIN video v ON v.id = r.video_id "
        "WHERE r.id = :id",
        id=run_id,
    )
    assert (width, height) == case.size
    rows = sql(
        system,
        "SELECT frame, pts, people, missing, keypoints FROM frame WHERE run_id = :id ORDER BY frame",
        id=run_id,
    )
    shown = list(plain_decode(path, case))
    assert [row[0] for row in rows] == list(range(len(shown)))
    assert {(row[2], row[3]) for row in rows} == {(1, None)}
    poses = np.array([row[4] for row in rows], np.float32).reshape(-1, 17, 3)
    told = [read_pose(pose, *case.size) for pose in poses]
    assert told == [frame.number for frame in shown] == list(case.numbers or ())
    pts = [int(str(row[1])) for row in rows]
    if not case.indexed_by_position:
        assert pts == [frame.pts for frame in shown]
    if case.times_s is not None:
        tick_s = int(str(num)) / int(str(den))
        found_s = (np.array(pts) - pts[0]) * tick_s
        assert found_s == pytest.approx(np.array(case.times_s), abs=0.02 if case.indexed_by_position else 1.5 * tick_s)
