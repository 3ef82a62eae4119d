"""A worker says truthfully what it computes with: in Postgres, to Celery, and by not starting on something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pipeline.core.states import RunState
from pipeline.db.engine import transaction
from pipeline.db.workers import DeviceRow, WorkerRow, report_worker, select_workers
from pipeline.errors import DeviceUnavailable
from pipeline.inference.contracts import Network
from pipeline.inference.engines.onnx_session import CPU, CUDA
from pipeline.inference.engines.placement import Placement, open_session
from pipeline.inference.engines.sessions import DeviceInfo, Float32s, Session
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.rtmo import OneStage
from pipeline.inference.weights.checksums import sha256_of, write_checksums
from pipeline.inference.zoo import FoundModel
from pipeline.queue import build_celery
from pipeline.services.detect import detect_chunk
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.harness import Processes, ask, processes, run_of, sql, wait_until
from tests.support.onnx_maker import make_model
from workers.pool import pool_stats
from workers.runtime import build_runtime


def alive(system: System) -> list[WorkerRow]:
    with transaction(system.engine) as connection:
        return select_workers(connection)


def start_worker(system: System, running: Processes) -> WorkerRow:
    running.worker("--slots", "1", "--name", "truthful")
    [row] = wait_until(lambda: alive(system), what="a worker")
    return row


def test_what_a_worker_says_comes_back(system: System) -> None:
    computes = DeviceRow("a card", "a provider", "an engine 1", "580.1", "the best", 1.5, datetime.now(UTC))
    for golden_ms in (1.5, 2.5):
        with transaction(system.engine) as connection:
            report_worker(
                connection,
                name="w",
                pid=7,
                slots=2,
                version="1",
                computes=replace(computes, golden_ms=golden_ms),
            )
    [row] = alive(system)
    assert (row.name, row.pid, row.slots, row.version) == ("w", 7, 2, "1")
    assert row.computes == replace(computes, golden_ms=2.5)


def test_a_worker_that_starts_anew_under_its_name_has_begun_anew(system: System) -> None:
    begun_at = []
    for starts in (True, False, True):
        with transaction(system.engine) as connection:
            report_worker(
                connection, name="w", pid=1, slots=1, version="1", computes=DeviceRow("a", "b"), starts=starts
            )
        begun_at.append(alive(system)[0].started_at)
    assert begun_at[0] == begun_at[1] < begun_at[2]


def test_a_worker_of_the_version_before_may_still_report(system: System) -> None:
    sql(
        system,
        "INSERT INTO worker (name, pid, device, provider, slots, version, seen_at) "
        "VALUES ('old', 1, 'a chip', 'a provider', 1, '0', clock_timestamp())",
    )
    assert [row.computes for row in alive(system)] == [DeviceRow("a chip", "a provider")]


def test_celery_carries_the_words_of_the_database(settings: Settings, system: System, tmp_path: Path) -> None:
    with processes(settings, tmp_path / "logs") as running:
        row = start_worker(system, running)
        assert (row.computes.provider, row.computes.reason) == (CPU, "it was asked for")
        assert row.computes.engine == f"onnxruntime {onnxruntime.__version__}"
        assert row.computes.golden_ms is not None
        assert row.computes.golden_ms > 0
        assert row.computes.checked_at is not None
        app = build_celery(settings)
        try:
            stats = wait_until(lambda: app.control.inspect([row.name], timeout=2).stats(), what="an answer")
        finally:
            app.close()
        pool = stats[row.name]["pool"]
        assert pool_stats(row.computes).items() <= pool.items()
        assert pool["max-concurrency"] == 1
        assert pool["precisions"] == ["fp32"]


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA")
def test_a_worker_that_was_asked_for_a_gpu_and_has_none_refuses(
    settings: Settings, system: System, tmp_path: Path
) -> None:
    with processes(settings, tmp_path / "logs") as running:
        process = running.start("worker", "--device", "cuda", "--slots", "1")
        assert process.wait(60) == 1
        assert "worker_refuses" in running.output()
        assert "no CUDA: this onnxruntime is built without it" in running.output()
    assert sql(system, "SELECT name FROM worker") == []


class OffBy:
    """A session of which every keypoint is some pixels off."""

    def __init__(self, session: Session, device: DeviceInfo, off_px: float) -> None:
        self.device, self.inputs, self.outputs = device, session.inputs, session.outputs
        self._session, self._off_px = session, np.float32(off_px)

    def run(self, batch: Float32s, outputs: Sequence[str]) -> tuple[Float32s, ...]:
        dets, keypoints = self._session.run(batch, outputs)
        keypoints[..., :2] += self._off_px
        return dets, keypoints


def stand_in(monkeypatch: pytest.MonkeyPatch, provider: str, off_px: float) -> None:
    """Let workers load models on a card that says so and is some pixels off."""

    def load(found: FoundModel, placement: Placement) -> PoseModel:
        session = open_session(found.path, Placement("cpu"), found.spec.pose)
        stub = OffBy(session, DeviceInfo("onnxruntime 1", provider, "a card", is_gpu=provider != CPU), off_px)
        return OneStage(Network(stub, found.spec.pose, found.path), found.spec)

    monkeypatch.setattr("pipeline.services.model_cache.load_model", load)


@pytest.mark.parametrize(
    ("provider", "off_px", "says"),
    [
        (CPU, 0, "requested cuda and got a card"),
        (CUDA, 3, r"expected [56] people in [34] images within 0.5 px and 0.01 of score, but 0 are missing"),
    ],
)
def test_a_worker_on_a_device_that_is_not_what_it_says_does_not_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, provider: str, off_px: float, says: str
) -> None:
    stand_in(monkeypatch, provider, off_px)
    app = build_celery(settings)
    try:
        with pytest.raises(DeviceUnavailable, match=says):
            build_runtime(app, settings, "w", 1, "cuda")
    finally:
        app.close()


def test_a_model_that_is_computed_wrongly_when_it_is_loaded_later_is_an_outage(
    system: System, short_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models_path = system.settings.models_path
    models_path.mkdir(parents=True)
    model = make_model(models_path / "rtmo-t.onnx", dets=np.array([[10, 20, 110, 220, 1.9]], np.float32))
    write_checksums(models_path, {"rtmo-t": sha256_of(model)})
    run_id = ask(system, short_clip, model="rtmo-t")
    ingest_video(system, run_of(system, run_id).video_id, "w")
    stand_in(monkeypatch, CUDA, 3)
    models = ModelCache(system, Placement("cuda"))
    with pytest.raises(
        DeviceUnavailable, match=r"rtmo-t on a card .*, but 0 are missing, 0 too many, .* px off"
    ) as caught:
        detect_chunk(system, models, run_id, 0, "w")
    assert sql(
        system,
        "SELECT state, errors, last_error, not_before > now() FROM chunk WHERE run_id = :id AND idx = 0",
        id=run_id,
    ) == [("ready", 0, caught.value.message, True)]
    assert run_of(system, run_id).state is RunState.RUNNING
