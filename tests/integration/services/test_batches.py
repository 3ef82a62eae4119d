"""A worker with a GPU brings frames in batches: the poses and the ledger are those of one frame at a time.

There is no GPU here; what stands for it is a session that says that it is one, over the same network.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from pipeline.core.poses import FramePoses
from pipeline.errors import InvalidOutput, InvalidWeights
from pipeline.inference.contracts import Network
from pipeline.inference.engines.placement import Placement, open_session
from pipeline.inference.engines.sessions import DeviceInfo, Session
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.rtmo import OneStage
from pipeline.inference.weights.checksums import sha256_of, write_checksums
from pipeline.inference.zoo import find_model
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from tests.support.harness import ask, run_of, sql, wait_until
from tests.support.oracle_maker import LYING, make_oracle, read_pose
from tests.support.video_maker import make_video

MODEL = "rtmo-t"
FRAMES = 50


class Gpu:
    """Says that it is a GPU, and remembers its batches."""

    device = DeviceInfo("none", "a GPU", "none", is_gpu=True)

    def __init__(self, session: Session) -> None:
        self.inputs, self.outputs = session.inputs, session.outputs
        self.batches: list[int] = []
        self._session = session

    def run(self, batch: np.ndarray, outputs: object) -> tuple[np.ndarray, ...]:
        self.batches.append(len(batch))
        return self._session.run(batch, outputs)


class OneModel(ModelCache):
    """Gives this model, whatever is asked for."""

    def __init__(self, model: PoseModel) -> None:
        self._model = model

    def load(self, fingerprint: str, interrupted: object = None) -> PoseModel:  # noqa: ARG002
        assert fingerprint == self._model.spec.fingerprint
        return self._model


def gpu_model(system: System, batch: int) -> tuple[OneStage, Gpu]:
    found = find_model(MODEL, system.settings.models_path)
    gpu = Gpu(open_session(found.path, Placement("cpu"), found.spec.pose))
    model = OneStage(Network(gpu, found.spec.pose, found.path), found.spec, batch)
    gpu.batches.clear()
    return model, gpu


def analyse(system: System, clip: Path, batch: int, team: str) -> tuple[UUID, list[int]]:
    run_id = ask(system, clip, team=team, model=MODEL)
    ingest_video(system, run_of(system, run_id).video_id, "w")
    model, gpu = gpu_model(system, batch)
    for (idx,) in sql(system, "SELECT idx FROM chunk WHERE run_id = :id ORDER BY idx", id=run_id):
        detect_chunk(system, OneModel(model), run_id, int(str(idx)), "w")
    finish_run(system, run_id, "w")
    return run_id, gpu.batches


@pytest.fixture
def asking(system: System) -> System:
    put_oracle(system)
    return system


def put_oracle(system: System) -> None:
    system.settings.models_path.mkdir(parents=True)
    oracle = make_oracle(system.settings.models_path / f"{MODEL}.onnx")
    write_checksums(system.settings.models_path, {MODEL: sha256_of(oracle)})


def test_batches_change_neither_poses_nor_the_ledger(asking: System, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "numbered.mp4", frames=FRAMES)
    what = "SELECT frame, pts, people, scores, boxes, keypoints FROM frame WHERE run_id = :id ORDER BY frame"
    alone, singles = analyse(asking, clip, 1, "alone")
    together, batches = analyse(asking, clip, 8, "together")
    assert set(singles) == {1}
    assert sum(batches) == FRAMES
    assert max(batches) == 8
    rows = sql(asking, what, id=together)
    assert rows == sql(asking, what, id=alone)
    for number, row in enumerate(rows):
        keypoints = np.array(row[5], np.float32).reshape(17, 3)
        assert read_pose(keypoints, *LYING) == number


class SlowModel(OneModel):
    """Is loaded only when the lease was renewed for longer than silence is borne."""

    def __init__(self, model: PoseModel, system: System, run_id: UUID) -> None:
        super().__init__(model)
        self._system, self._run_id = system, run_id

    def load(self, fingerprint: str, interrupted: object = None) -> PoseModel:  # noqa: ARG002
        held_s = "SELECT extract(epoch FROM lease_until - started_at) FROM chunk WHERE run_id = :id"
        borne_s = self._system.settings.stall_s + 2 * self._system.settings.lease_s
        wait_until(lambda: float(str(sql(self._system, held_s, id=self._run_id)[0][0])) > borne_s, 20)
        return super().load(fingerprint)


def test_a_model_that_takes_long_to_load_keeps_its_lease(system: System, tmp_path: Path) -> None:
    settings = system.settings.model_copy(update={"stall_s": 0.5, "lease_s": 1.0, "chunk_frames": 100})
    system = replace(system, settings=settings)
    put_oracle(system)
    run_id = ask(system, make_video(tmp_path / "numbered.mp4", frames=5), model=MODEL)
    ingest_video(system, run_of(system, run_id).video_id, "w")
    detect_chunk(system, SlowModel(gpu_model(system, 1)[0], system, run_id), run_id, 0, "w")
    assert sql(system, "SELECT state, expirations, errors FROM chunk WHERE run_id = :id", id=run_id) == [("done", 0, 0)]


class BreaksOff:
    """Was sound when it was loaded, and breaks off on every frame."""

    batch = 1

    def __init__(self, model: PoseModel) -> None:
        self.spec, self.device = model.spec, model.device

    def detect(self, *_: object) -> list[FramePoses]:
        raise InvalidWeights("the network broke off")


def test_a_model_that_breaks_off_on_frames_is_not_tried_for_ever(asking: System, tmp_path: Path) -> None:
    run_id = ask(asking, make_video(tmp_path / "numbered.mp4", frames=5), model=MODEL)
    ingest_video(asking, run_of(asking, run_id).video_id, "w")
    with pytest.raises(InvalidOutput, match="broke off"):
        detect_chunk(asking, OneModel(BreaksOff(gpu_model(asking, 1)[0])), run_id, 0, "w")
    assert sql(asking, "SELECT errors FROM chunk WHERE run_id = :id", id=run_id) == [(1,)]
