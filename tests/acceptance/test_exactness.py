"""Every frame once at its true time, every pose as rtmlib finds it, the same bytes however the work was cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import av
import numpy as np
import pytest
from rtmlib import RTMO

from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.zoo import find_model
from pipeline.services.status import get_status
from pipeline.services.system import System
from tests.support.analysis import MODEL, put_model
from tests.support.harness import ask, export_bytes, processes, sql, wait_done, wait_until
from tests.support.paths import DEMO_CLIP, SHARED_CLIPS


def decode(clip: Path) -> Iterator[av.VideoFrame]:
    """One plain sequential decode, with nothing of Poseline in it."""
    with av.open(str(clip)) as container:
        yield from container.decode(container.streams.video[0])


def assert_as_a_plain_loop(system: System, clip: Path, run_id: UUID, exported: bytes, folder: Path) -> None:
    """Check a run of a clip against one sequential decode, and rtmlib's own poses of each of its frames."""
    lines = [json.loads(line) for line in exported.splitlines()]
    in_database = sql(system, "SELECT frame, pts FROM frame WHERE run_id = :id ORDER BY frame", id=run_id)

    found = find_model(BUNDLED_MODEL, folder)
    spec = found.spec
    side = (spec.pose.width_px, spec.pose.height_px)
    oracle = RTMO(str(found.path), side, score_thr=spec.score_threshold, nms_thr=spec.nms_threshold)

    decoded = 0
    people = 0
    for number, (frame, line, row) in enumerate(zip(decode(clip), lines, in_database, strict=True)):
        assert (line["frame"], line["pts"]) == (number, frame.pts) == row
        assert line["time_s"] == pytest.approx(float(frame.pts * frame.time_base), abs=1e-12)
        keypoints, confidences = oracle(frame.to_ndarray(format="bgr24"))
        seen = keypoints.any(axis=(1, 2))  # rtmlib gives one person of zeros where nobody is
        assert len(line["people"]) == seen.sum()
        if seen.any():
            ours = np.array([person["keypoints"] for person in line["people"]])
            assert np.abs(ours[..., :2] - keypoints[seen]).max() < 0.5
            assert np.abs(ours[..., 2] - confidences[seen]).max() < 0.01
        decoded += 1
        people += int(seen.sum())
    assert decoded == len(lines) == len(in_database)
    assert people > decoded / 2, "a clip with hardly anybody in it proves little"


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("clip", [DEMO_CLIP, *SHARED_CLIPS], ids=lambda path: path.stem)
def test_frames_and_poses_of_whole_clips_are_those_of_a_plain_loop(system: System, clip: Path, tmp_path: Path) -> None:
    with processes(system.settings, tmp_path) as running:
        running.worker("--slots", "2")
        run_id = ask(system, clip)
        wait_done(system, run_id)
    assert_as_a_plain_loop(system, clip, run_id, export_bytes(system, run_id, tmp_path / "poses.jsonl"), tmp_path)


def test_many_workers_and_chunks_give_the_same_bytes_as_one_and_the_poses_of_a_plain_loop(
    system: System, short_clip: Path, reference: bytes, tmp_path: Path
) -> None:
    settings = system.settings.model_copy(update={"chunk_frames": 7})
    with processes(settings, tmp_path) as running:
        for _ in range(3):
            running.worker("--slots", "2")
        wait_until(lambda: len(get_status(system).workers) == 3, 60, "three workers")
        run_id = ask(System(settings, system.engine, system.store, system.queue), short_clip)
        run = wait_done(system, run_id)
        workers = sql(system, "SELECT count(DISTINCT worker) FROM chunk")
    assert run.chunks_total is not None
    assert run.chunks_total > 5
    assert workers == [(3,)], "not every worker took part"
    exported = export_bytes(system, run_id, tmp_path / "poses.jsonl")
    assert exported == reference
    assert_as_a_plain_loop(system, short_clip, run_id, exported, tmp_path)


def test_a_free_slot_takes_the_next_chunk_at_once(system: System, short_clip: Path, tmp_path: Path) -> None:
    put_model(system.settings.models_path)
    settings = system.settings.model_copy(update={"chunk_frames": 6})
    with processes(settings, tmp_path) as running:
        running.beat()
        running.worker("--slots", "1")
        wait_done(system, ask(System(settings, system.engine, system.store, system.queue), short_clip, model=MODEL))
    gaps = sql(
        system,
        "SELECT extract(epoch FROM started_at - lag(finished_at) OVER (ORDER BY started_at))::float FROM chunk",
    )
    between = sorted(float(str(gap)) for (gap,) in gaps if gap is not None)
    assert len(between) > 5
    assert between[len(between) // 2] < 0.3, f"seconds between chunks: {between}"
