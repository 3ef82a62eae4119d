"""Weights reach workers through the object store by their SHA-256, and other bytes under that name are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from pipeline.core.object_keys import weights_key
from pipeline.core.progress import Silent
from pipeline.core.states import RunState
from pipeline.db.chunks import select_last_error
from pipeline.db.engine import transaction
from pipeline.errors import BrokenModel, InvalidOutput, InvalidWeights, RunFailed, is_outage
from pipeline.inference.engines.placement import Placement
from pipeline.inference.weights.checksums import sha256_of
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from tests.support.harness import ask, run_of, sql
from tests.support.onnx_maker import make_model
from tests.support.video_maker import make_video

KEYPOINTS = 26


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A custom model whose weights are not in the object store yet."""
    person = np.array([[1, 2, 30 + uuid4().int % 1000 / 100, 40, 2.0]])
    return make_model(tmp_path / "mine.onnx", side_px=64, keypoints=KEYPOINTS, dets=person)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", frames=12)


def other_machine(system: System, folder: Path) -> System:
    """The same servers, used from a machine without these weights."""
    home = folder / "other"
    return replace(
        system,
        settings=system.settings.model_copy(update={"home": home, "models_dir": home / "models", "backoff_s": 0.0}),
    )


def begun(system: System, clip: Path, model: Path) -> UUID:
    run_id = ask(system, clip, model=str(model))
    ingest_video(system, run_of(system, run_id).video_id, "w")
    return run_id


def test_a_worker_on_another_machine_gets_a_custom_model(system: System, clip: Path, mine: Path, tmp_path: Path):
    run_id = begun(system, clip, mine)
    mine.rename(tmp_path / "gone.onnx")
    there = other_machine(system, tmp_path)
    detect_chunk(there, ModelCache(there, Placement("cpu")), run_id, 0, "w")
    finish_run(there, run_id, "w")
    run = run_of(system, run_id)
    assert (run.state, run.model_name) == (RunState.DONE, "mine")
    assert len(run.model.keypoint_names) == KEYPOINTS
    rows = sql(system, "SELECT people, cardinality(keypoints) FROM frame WHERE run_id = :id", id=run_id)
    assert rows == [(1, 3 * KEYPOINTS)] * 12
    kept = [path.name for path in (there.settings.home / "weights").iterdir()]
    assert kept == [f"{run.model.pose.weights_sha256}.onnx"]


def test_the_same_weights_are_uploaded_once(system: System, clip: Path, mine: Path):
    steps: list[str] = []

    class Recorded(Silent):
        def step(self, message: str, /) -> None:
            steps.append(message)

    first = ask(system, clip, model=str(mine), progress=Recorded())
    assert ask(system, clip, model=str(mine), progress=Recorded()) == first
    assert [step.partition("(")[0] for step in steps] == ["uploading the weights of mine to the object store "]
    assert weights_key(sha256_of(mine)) in list(system.store.list_keys("models/"))


def test_weights_are_stored_as_binary_data_not_as_video(system: System, clip: Path, mine: Path):
    ask(system, clip, model=str(mine))
    client = system.store._client
    stored = client.head_object(Bucket=system.store.bucket, Key=weights_key(sha256_of(mine)))
    assert stored["ContentType"] == "application/octet-stream"


def test_the_last_description_of_a_model_counts(system: System, clip: Path, mine: Path, tmp_path: Path):
    run_id = ask(system, clip, model=str(mine))
    assert run_of(system, run_id).model.licence == "unknown"
    mine.with_suffix(".json").write_text('{"licence": "MIT", "skeleton": [[0, 1]]}')
    assert ask(system, clip, model=str(mine)) == run_id
    spec = run_of(system, run_id).model
    assert (spec.licence, spec.skeleton) == ("MIT", ((0, 1),))


def test_other_bytes_under_their_name_are_refused(system: System, clip: Path, mine: Path, tmp_path: Path):
    run_id = begun(system, clip, mine)
    foreign = make_model(tmp_path / "foreign.onnx", side_px=64, keypoints=KEYPOINTS)
    system.store.put_file(foreign, weights_key(sha256_of(mine)))
    there = other_machine(system, tmp_path)
    with pytest.raises(InvalidWeights, match="another SHA-256 than its name says"):
        detect_chunk(there, ModelCache(there, Placement("cpu")), run_id, 0, "w")
    assert sql(system, "SELECT state, errors FROM chunk WHERE run_id = :id", id=run_id) == [("ready", 0)]
    assert sql(system, "SELECT count(*) FROM frame WHERE run_id = :id", id=run_id) == [(0,)]


def test_weights_that_are_missing_everywhere_are_an_outage(system: System, clip: Path, mine: Path, tmp_path: Path):
    run_id = begun(system, clip, mine)
    system.store.delete(weights_key(sha256_of(mine)))
    there = other_machine(system, tmp_path)
    with pytest.raises(InvalidWeights, match="neither on this machine nor in the object store") as caught:
        detect_chunk(there, ModelCache(there, Placement("cpu")), run_id, 0, "w")
    assert is_outage(caught.value)
    with transaction(system.engine) as connection:
        assert select_last_error(connection, run_id) == caught.value.message
    assert not list((there.settings.home / "weights").iterdir())
    ask(system, make_video(tmp_path / "next.mp4", frames=3), model=str(mine))
    detect_chunk(there, ModelCache(there, Placement("cpu")), run_id, 0, "w")
    assert sql(system, "SELECT state FROM chunk WHERE run_id = :id", id=run_id) == [("done",)]


def test_a_damaged_local_file_is_downloaded_again(system: System, clip: Path, mine: Path, tmp_path: Path):
    run_id = begun(system, clip, mine)
    there = other_machine(system, tmp_path)
    kept = there.settings.home / "weights" / f"{sha256_of(mine)}.onnx"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"\0" * 1000)  # as a power cut leaves it
    detect_chunk(there, ModelCache(there, Placement("cpu")), run_id, 0, "w")
    assert kept.read_bytes() == mine.read_bytes()
    assert sql(system, "SELECT state, last_error FROM chunk WHERE run_id = :id", id=run_id) == [("done", None)]


def test_no_room_for_weights_is_an_outage(system: System, clip: Path, mine: Path, tmp_path: Path):
    run_id = begun(system, clip, mine)
    there = other_machine(system, tmp_path)
    there.settings.home.mkdir(parents=True)
    (there.settings.home / "weights").write_text("a file where the folder should be")
    with pytest.raises(InvalidWeights, match="set POSELINE_HOME") as caught:
        detect_chunk(there, ModelCache(there, Placement("cpu")), run_id, 0, "w")
    assert is_outage(caught.value)
    assert sql(system, "SELECT state, errors FROM chunk WHERE run_id = :id", id=run_id) == [("ready", 0)]


def test_a_model_whose_output_is_never_finite_fails_its_run(system: System, clip: Path, tmp_path: Path):
    dazzled = make_model(tmp_path / "dazzled.onnx", side_px=64, keypoints=KEYPOINTS, dazzled=True)
    run_id = begun(system, clip, dazzled)
    with pytest.raises(BrokenModel, match="dazzled gives scores, boxes or keypoints that are not numbers") as caught:
        detect_chunk(system, ModelCache(system, Placement("cpu")), run_id, 0, "w")
    run = run_of(system, run_id)
    assert (run.state, run.reason) == (RunState.FAILED, caught.value.message)


def test_frames_whose_output_is_not_finite_are_the_reason_of_the_failed_run(
    system: System, clip: Path, mine: Path, monkeypatch
):
    run_id = begun(system, clip, mine)
    strict = replace(system, settings=system.settings.model_copy(update={"max_errors": 1}))
    models = ModelCache(strict, Placement("cpu"))
    model = models.load(run_of(system, run_id).model_fingerprint)

    def breaks_off(*_: object) -> None:
        raise InvalidOutput("it gave no numbers for these; try another model")

    monkeypatch.setattr(model, "detect", breaks_off)
    with pytest.raises(InvalidOutput):
        detect_chunk(strict, models, run_id, 0, "w")
    with pytest.raises(RunFailed):
        finish_run(strict, run_id, "w")
    run = run_of(system, run_id)
    assert run.state is RunState.FAILED
    assert run.reason == (
        "12 of 12 frames could not be analysed, more than 5%: it gave no numbers for these; try another model"
    )
