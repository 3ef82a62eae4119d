"""A model's fingerprint changes with everything that changes the poses, and with nothing else."""

from __future__ import annotations

import dataclasses
import importlib
import json

import pytest

from pipeline.core.keypoints import COCO_17, COCO_133, HALPE_26, HAND_21, Keypoints, keypoints_of
from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.errors import InvalidWeights
from pipeline.inference.catalogue import ENTRIES

POSE = NetworkSpec("rtmo", "0123456789abcdef" * 4, 640, 640)
SPEC = ModelSpec(
    name="rtmo-s",
    pose=POSE,
    score_threshold=0.7,
    nms_threshold=0.45,
    licence="Apache-2.0",
    source="mmpose",
)
CROPS = NetworkSpec("simcc", "a" * 64, 192, 256)
TWO_STAGES = dataclasses.replace(SPEC, pose=CROPS, detector=dataclasses.replace(POSE, decoder="yolox"))


def pose(**change: object) -> dict[str, object]:
    return {"pose": dataclasses.replace(POSE, **change)}


@pytest.mark.parametrize(
    "change",
    [
        pose(weights_sha256="f" * 64),
        pose(width_px=416, height_px=416),
        pose(preprocessing="centred"),
        pose(decoding="other"),
        {"pose": CROPS, "detector": TWO_STAGES.detector},
        {"score_threshold": 0.3},
        {"nms_threshold": 0.5},
        {"keypoint_names": COCO_17.names[::-1]},
        {"precision": "bf16"},
    ],
    ids=str,
)
def test_what_changes_poses_changes_the_fingerprint(change):
    assert dataclasses.replace(SPEC, **change).fingerprint != SPEC.fingerprint


def test_each_of_two_networks_counts():
    other = dataclasses.replace(TWO_STAGES.detector, weights_sha256="e" * 64)
    assert dataclasses.replace(TWO_STAGES, detector=other).fingerprint != TWO_STAGES.fingerprint
    assert dataclasses.replace(TWO_STAGES, pose=dataclasses.replace(CROPS, decoding="other")).fingerprint not in {
        TWO_STAGES.fingerprint,
        SPEC.fingerprint,
    }


@pytest.mark.parametrize("change", [{"name": "x"}, {"licence": "x"}, {"source": "x"}, {"skeleton": ((0, 1),)}])
def test_what_does_not_change_poses_does_not_change_the_fingerprint(change):
    assert dataclasses.replace(SPEC, **change).fingerprint == SPEC.fingerprint


def test_every_field_was_thought_of():
    """A new field must be sorted into one of the tests above."""
    assert {field.name for field in dataclasses.fields(SPEC)} == {
        *("pose", "detector", "score_threshold", "nms_threshold", "keypoint_names", "precision"),
        *("name", "licence", "source", "skeleton"),
    }
    assert {field.name for field in dataclasses.fields(POSE)} == {
        *("decoder", "weights_sha256", "width_px", "height_px", "preprocessing", "decoding"),
    }


def test_the_fingerprint_is_the_same_tomorrow():
    """Runs in databases are named by it: if this goes red, every stored run gets a new name."""
    assert SPEC.fingerprint == "80328414836a0e810ff7bc94371261dfd8671d92f9d0838038487051a2c7b2ba"
    assert TWO_STAGES.fingerprint == "e98c3d7dea8ecea83428dfc46b2a71ac11e91caa6d00d5bf0a19de3cb32dbe93"


@pytest.mark.parametrize("spec", [SPEC, TWO_STAGES, dataclasses.replace(SPEC, precision="fp16")], ids=str)
def test_json_gives_the_same_model_back(spec):
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert json.loads(spec.to_json())["keypoint_names"][0] == "nose"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keypoint_names": 3}', SPEC.to_json().replace("licence", "lizenz")])
def test_other_json_is_one_line(text):
    with pytest.raises(InvalidWeights, match="cannot be read") as caught:
        ModelSpec.from_json(text)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "ABC"},
        {"width_px": 0},
        {"height_px": 416},
        {"decoder": "openpose"},
    ],
    ids=str,
)
def test_a_network_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match=r"weights_sha256|positive|squares|decoder"):
        dataclasses.replace(POSE, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"score_threshold": 1.5},
        {"nms_threshold": -0.1},
        {"keypoint_names": ()},
        {"keypoint_names": ("nose", "nose")},
        {"skeleton": ((0, 17),)},
        {"precision": "int4"},
    ],
    ids=str,
)
def test_a_field_out_of_range_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change)).split("_")[0]):
        dataclasses.replace(SPEC, **change)


def test_networks_that_make_no_model_are_refused():
    with pytest.raises(ValueError, match="not a pair of networks"):
        dataclasses.replace(SPEC, pose=CROPS)
    with pytest.raises(ValueError, match="not a pair of networks"):
        dataclasses.replace(TWO_STAGES, pose=POSE)


def test_one_stage_takes_squares_and_two_stages_whole_pictures():
    assert (SPEC.side_px, TWO_STAGES.side_px) == (640, None)
    assert (SPEC.full_name, dataclasses.replace(SPEC, precision="bf16").full_name) == ("rtmo-s", "rtmo-s@bf16")


@pytest.mark.parametrize(
    ("table", "known"), [("coco17", COCO_17), ("halpe26", HALPE_26), ("coco133", COCO_133), ("hand21", HAND_21)]
)
def test_keypoints_are_those_of_rtmlibs_tables(table: str, known: Keypoints):
    published = getattr(importlib.import_module(f"rtmlib.visualization.skeleton.{table}"), table)
    names = [published["keypoint_info"][number]["name"] for number in range(len(published["keypoint_info"]))]
    assert list(known.names) == names
    limbs = [tuple(names.index(end) for end in limb["link"]) for limb in published["skeleton_info"].values()]
    assert list(known.skeleton) == limbs
    assert keypoints_of(len(names)) == known


def test_keypoints_that_nobody_knows_are_numbered():
    assert keypoints_of(3) == Keypoints(("keypoint_0", "keypoint_1", "keypoint_2"), ())


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_every_known_model_can_be_described(entry):
    spec = entry.spec({weights.name: "b" * 64 for weights in entry.weights})
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert len(spec.networks) == len(entry.weights)
