"""Models by name and by file: which are here, what is refused, and what is known of a file of one's own."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.core.model_spec import ModelSpec
from pipeline.errors import InvalidWeights, UnknownModel, UsageError
from pipeline.inference.catalogue import ALIASES, BUNDLED_MODEL, ENTRIES, find_entry, is_bundled_sha256
from pipeline.inference.custom_models import NMS_THRESHOLD, SCORE_THRESHOLD, describe
from pipeline.inference.engines.placement import Placement
from pipeline.inference.zoo import FoundModel, find_model, find_weights, list_models, load_model, split_precision
from tests.support.model_publisher import brought
from tests.support.onnx_maker import ONE_PERSON, make_model
from tests.support.twin_simcc import make_simcc_twin
from tests.support.twin_yolox import make_yolox_twin

CPU = Placement("cpu")


@pytest.fixture
def models(tmp_path) -> Path:
    return tmp_path / "models"


def test_the_bundled_model_is_here_and_the_others_are_known(models):
    states = {state.name: state for state in list_models(models)}
    assert list(states) == list(ENTRIES)
    assert next(iter(states)) == BUNDLED_MODEL
    assert [name for name, state in states.items() if state.is_local] == [BUNDLED_MODEL]
    assert {f"rtmo-{letter}": states[f"rtmo-{letter}"].entry.pose.width_px for letter in "tsml"} == {
        "rtmo-t": 416,
        "rtmo-s": 640,
        "rtmo-m": 640,
        "rtmo-l": 640,
    }
    assert states[BUNDLED_MODEL].entry.origin == "bundled"
    origin = states["rtmo-s"].entry.origin
    assert origin.startswith("https://download.openmmlab.com/mmpose/v1/projects/rtmo/onnx_sdk/rtmo-s_")
    assert not models.exists(), "looking must not write"


def test_the_bundled_model_is_what_its_card_says(models):
    found = find_model(BUNDLED_MODEL, models)
    [sha256] = found.spec.weights_sha256s
    assert sha256 in (found.path.parent / "README.md").read_text()
    assert hashlib.sha256(found.path.read_bytes()).hexdigest() == sha256
    assert is_bundled_sha256(sha256)
    assert (found.spec.score_threshold, found.spec.nms_threshold) == (0.2, 0.45)


def test_naming_models_does_not_load_an_engine():
    code = (
        "import sys, pipeline.inference.zoo, pipeline.inference.weights.fetcher\n"
        "sys.exit(bool({'onnxruntime', 'rtmlib', 'openvino', 'cv2'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_makes_a_spec_of_files_with_names_of_their_own(name):
    entry = ENTRIES[name]
    spec = entry.spec({weights.name: "0" * 64 for weights in entry.weights})
    assert spec.name == name == entry.pose.name
    assert len(spec.networks) == len(entry.weights)
    assert ModelSpec.from_json(spec.to_json()) == spec
    # Names of partial files are told apart by their dots, and a folder's files by their names.
    assert not any("." in weights.name or "/" in weights.name for weights in entry.weights)


def test_files_of_one_name_are_one_file():
    files = {(weights.name, weights.zip_path) for entry in ENTRIES.values() for weights in entry.weights}
    assert len({name for name, _ in files}) == len({path for _, path in files}) == len(files)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_a_mode_of_rtmlib_is_another_name(alias, name):
    assert find_entry(alias) is ENTRIES[name]


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("rtmo-x", "'rtmo-x' (the nearest name is rtmo-"),
        ("RTMO-S", "(the nearest name is rtmo-s)"),
        ("rtmpose-balance", "(the nearest name is rtmpose-balanced)"),
        ("???", "'???'; there are movenet"),
    ],
)
def test_an_unknown_model_names_the_known_ones(models, name, guess):
    with pytest.raises(UnknownModel, match="there is no model") as caught:
        find_model(name, models)
    assert guess in caught.value.message
    assert all(known in caught.value.message for known in ENTRIES)


@pytest.mark.parametrize("name", ["rtmo-s", "rtmpose-s", "rtmo-s@bf16"])
def test_a_model_that_was_not_fetched_says_how(models, name):
    plain = name.partition("@")[0]
    with pytest.raises(InvalidWeights) as caught:
        find_model(name, models)
    assert caught.value.message == f"{plain} is not on this machine; fetch it with `poseline models fetch {plain}`"


def test_a_model_of_two_files_is_here_when_both_are(models, tmp_path):
    detector = make_yolox_twin(tmp_path / "yolox.onnx", side_px=416, nms_inside=True)
    pose = make_simcc_twin(tmp_path / "pose.onnx", width_px=192, height_px=256, keypoints=17)
    sha256s = brought(models, {"rtmpose-s": pose})
    assert "rtmpose-s" not in {state.name for state in list_models(models) if state.is_local}
    with pytest.raises(InvalidWeights, match="rtmpose-s is not on this machine"):
        find_model("rtmpose-s", models)
    sha256s |= brought(models, {"yolox-tiny-humanart": detector})
    here = {state.name for state in list_models(models) if state.is_local}
    assert here == {BUNDLED_MODEL, "rtmpose-s"}, "the feet have the same detector, but not their own file"
    found = find_model("rtmpose-s", models)
    assert found.path == models / "rtmpose-s.onnx"
    assert found.paths == {sha256: models / f"{name}.onnx" for name, sha256 in sha256s.items()}
    assert load_model(found, CPU).spec == found.spec


def test_weights_are_found_by_their_hash_alone(models, tmp_path):
    sha256s = brought(models, {"rtmo-t": make_model(tmp_path / "t.onnx")})
    assert find_weights(sha256s["rtmo-t"], models) == models / "rtmo-t.onnx"
    bundled = find_model(BUNDLED_MODEL, models)
    assert find_weights(bundled.spec.pose.weights_sha256, models) == bundled.path
    assert find_weights("0" * 64, models) is None
    (models / "rtmo-t.onnx").unlink()
    assert find_weights(sha256s["rtmo-t"], models) is None


def test_a_file_without_a_checksum_is_not_trusted(models, tmp_path):
    models.mkdir()
    make_model(models / "rtmo-t.onnx")
    assert "rtmo-t" not in {state.name for state in list_models(models) if state.is_local}
    with pytest.raises(InvalidWeights, match=r"no checksum.*models fetch rtmo-t"):
        find_model("rtmo-t", models)


def test_changed_bundled_weights_are_refused(models, tmp_path):
    found = find_model(BUNDLED_MODEL, models)
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(found.path.read_bytes()[:-1])
    with pytest.raises(InvalidWeights, match="install Poseline again"):
        load_model(FoundModel(found.spec, {found.spec.pose.weights_sha256: copy}), CPU)
    with pytest.raises(InvalidWeights, match="cannot be read"):
        load_model(FoundModel(found.spec, {found.spec.pose.weights_sha256: tmp_path / "gone.onnx"}), CPU)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_unreadable_checksums_are_one_line(models, content):
    models.mkdir()
    (models / "checksums.json").write_text(content)
    with pytest.raises(InvalidWeights, match=r"checksums\.json cannot be read"):
        find_model("rtmo-t", models)


def test_a_checksum_that_is_none_is_one_line(models):
    models.mkdir()
    make_model(models / "rtmo-t.onnx")
    (models / "checksums.json").write_text(json.dumps({"rtmo-t": "short"}))
    with pytest.raises(InvalidWeights, match="holds no SHA-256 for rtmo-t"):
        find_model("rtmo-t", models)


def test_reduced_precision_is_another_model_with_the_same_weights(models):
    assert split_precision("rtmo-s") == ("rtmo-s", "fp32")
    assert split_precision("a@b/mine.onnx@fp16") == ("a@b/mine.onnx", "fp16")
    plain, reduced = find_model(BUNDLED_MODEL, models), find_model(f"{BUNDLED_MODEL}@bf16", models)
    assert reduced.paths == plain.paths
    assert reduced.spec.fingerprint != plain.spec.fingerprint
    assert (plain.spec.full_name, reduced.spec.full_name) == (BUNDLED_MODEL, f"{BUNDLED_MODEL}@bf16")
    with pytest.raises(UnknownModel, match="no precision 'int8'; there are fp32, bf16, fp16"):
        split_precision("rtmo-s@int8")


def test_a_file_of_ones_own_is_a_model(tmp_path, models):
    path = make_model(tmp_path / "mine.onnx", side_px=96)
    found = find_model(f"{path}@bf16", models)
    assert found.path == path
    spec = found.spec
    assert (spec.full_name, spec.side_px, spec.licence) == ("mine@bf16", 96, "unknown")
    assert (spec.score_threshold, spec.nms_threshold) == (SCORE_THRESHOLD, NMS_THRESHOLD)
    assert spec.keypoint_names[:2] == ("nose", "left_eye")
    [poses] = load_model(find_model(str(path), models), CPU).detect(np.zeros((1, 96, 96, 3), np.uint8), [1.0])
    np.testing.assert_array_equal(poses.boxes_xyxy, ONE_PERSON[:, :4])
    moved = tmp_path / "another name.onnx"
    shutil.copy(path, moved)
    assert describe(moved, "bf16").fingerprint == spec.fingerprint, "a name makes no other model"
    moved.write_bytes(b"changed")
    with pytest.raises(InvalidWeights, match=r"changed \(SHA-256 .*; put it back"):
        load_model(FoundModel(spec, {spec.pose.weights_sha256: moved}), CPU)


def test_what_is_known_of_a_file_stands_beside_it(tmp_path):
    path = make_model(tmp_path / "mine.onnx", side_px=96, keypoints=3)
    assert len(set(describe(path).keypoint_names)) == 3, "numbered where nothing is known"
    said = {"keypoint_names": ["tip", "middle", "end"], "skeleton": [[0, 1], [1, 2]], "score_threshold": 0.25}
    path.with_suffix(".json").write_text(json.dumps(said | {"licence": "MIT", "source": "us", "nms_threshold": 1}))
    spec = describe(path)
    assert (spec.keypoint_names, spec.skeleton) == (("tip", "middle", "end"), ((0, 1), (1, 2)))
    assert (spec.score_threshold, spec.nms_threshold, spec.licence, spec.source) == (0.25, 1, "MIT", "us")


@pytest.mark.parametrize(
    ("beside", "says"),
    [
        ("{", "cannot be used"),
        ("[]", "it may hold keypoint_names"),
        ('{"scores": 1}', "it may hold keypoint_names"),
        ('{"keypoint_names": ["a"]}', "names 1 keypoints, but .* gives 17"),
        ('{"score_threshold": 2}', "must be a number within 0..1"),
        ('{"skeleton": [[0, 17]]}', "must join keypoints"),
        ('{"skeleton": 3}', "must be a list of pairs"),
        ('{"skeleton": [[0, 1, 2]]}', "must be a list of pairs"),
        ('{"score_threshold": "0.3"}', "must be a number within 0..1"),
        ('{"licence": 5}', 'must be a text, "MIT"'),
    ],
)
def test_what_cannot_be_beside_a_file_is_one_line(tmp_path, beside, says):
    path = make_model(tmp_path / "mine.onnx", side_px=96)
    path.with_suffix(".json").write_text(beside)
    with pytest.raises(UsageError, match=says):
        describe(path)


def test_a_file_that_is_no_such_network_is_refused(tmp_path):
    with pytest.raises(UnknownModel, match=r"there is no file .*gone\.onnx"):
        describe(tmp_path / "gone.onnx")
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(InvalidWeights, match=r"cannot be loaded .*a whole ONNX file"):
        describe(tmp_path / "text.onnx")
    for broken in ({"input_shape": ["batch", 3, 64, 96]}, {"output_names": ["dets"]}, {"dets": ONE_PERSON[:, :4]}):
        with pytest.raises(InvalidWeights, match="RTMO's contract"):
            describe(make_model(tmp_path / "broken.onnx", side_px=96, **broken))
    fixed = make_model(tmp_path / "fixed.onnx", side_px=96, input_shape=[1, 3, 96, 96])
    assert onnx.load(fixed).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    with pytest.raises(InvalidWeights, match="with a free batch"):
        describe(fixed)
