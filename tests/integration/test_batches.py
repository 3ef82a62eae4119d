"""A worker with a GPU brings frames in batches: the poses and the ledger are those of one frame at a time.

There is no GPU here; what stands for it is a session that says that it is one, over the same network.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from pipeline.inference.checksums import sha256_of, write_checksums
from pipeline.inference.contracts import Network
from pipeline.inference.engines import Placement, open_session
from pipeline.inference.models import PoseModel
from pipeline.inference.rtmo import OneStage
from pipeline.inference.sessions import DeviceFacts, Session
from pipeline.inference.zoo import find_model
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.models import ModelCache
from pipeline.services.system import System
from tests.harness import ask, run_of, sql
from tests.unit.oracle_maker import LYING, make_oracle, read_pose
from tests.unit.video_maker import make_video

MODEL = "rtmo-t"
FRAMES = 50


class Gpu:
    """Says that it is a GPU, and remembers its batches."""

    facts = DeviceFacts("none", "a GPU", "none", is_gpu=True)

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

    def load(self, fingerprint: str) -> PoseModel:
        assert fingerprint == self._model.spec.fingerprint
        return self._model


def analyse(system: System, clip: Path, batch: int, team: str) -> tuple[UUID, list[int]]:
    run_id = ask(system, clip, team=team, model=MODEL)
    ingest_video(system, run_of(system, run_id).video_id, "w")
    found = find_model(MODEL, system.settings.models_path)
    gpu = Gpu(open_session(found.path, Placement("cpu"), found.spec.pose))
    model = OneStage(Network(gpu, found.spec.pose, found.path), found.spec, batch)
    gpu.batches.clear()
    for (idx,) in sql(system, "SELECT idx FROM chunk WHERE run_id = :id ORDER BY idx", id=run_id):
        detect_chunk(system, OneModel(model), run_id, int(str(idx)), "w")
    finish_run(system, run_id, "w")
    return run_id, gpu.batches


@pytest.fixture
def asking(system: System) -> System:
    system.settings.models_path.mkdir(parents=True)
    oracle = make_oracle(system.settings.models_path / f"{MODEL}.onnx")
    write_checksums(system.settings.models_path, {MODEL: sha256_of(oracle)})
    return system


def test_batches_change_neither_poses_nor_the_ledger(asking: System, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "numbered.mp4", frames=FRAMES)
    what = "SELECT frame_no, pts, people, scores, boxes, keypoints FROM frame WHERE run_id = :id ORDER BY frame_no"
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
