"""A model's fingerprint changes with everything that changes the poses, and with nothing else."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pipeline.errors import ModelUnusable
from pipeline.inference.spec import COCO_KEYPOINTS, COCO_SKELETON, ModelSpec

SPEC = ModelSpec(
    name="rtmo-s",
    weights_sha256="0123456789abcdef" * 4,
    input_side_px=640,
    score_threshold=0.7,
    nms_threshold=0.45,
    licence="Apache-2.0",
    source="mmpose",
)


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "f" * 64},
        {"input_side_px": 416},
        {"score_threshold": 0.3},
        {"nms_threshold": 0.5},
        {"architecture": "rtmpose"},
        {"keypoint_names": COCO_KEYPOINTS[::-1]},
        {"preprocessing": "centred"},
        {"postprocess_version": "2"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_poses_changes_the_fingerprint(change):
    assert dataclasses.replace(SPEC, **change).fingerprint != SPEC.fingerprint


@pytest.mark.parametrize("change", [{"name": "x"}, {"licence": "x"}, {"source": "x"}, {"skeleton": ((0, 1),)}])
def test_what_does_not_change_poses_does_not_change_the_fingerprint(change):
    assert dataclasses.replace(SPEC, **change).fingerprint == SPEC.fingerprint


def test_every_field_was_thought_of():
    """A new field must be sorted into one of the two tests above."""
    assert {field.name for field in dataclasses.fields(SPEC)} == {
        *("weights_sha256", "input_side_px", "score_threshold", "nms_threshold", "architecture"),
        *("keypoint_names", "preprocessing", "postprocess_version"),
        *("name", "licence", "source", "skeleton"),
    }


def test_the_fingerprint_is_the_same_tomorrow():
    """Runs in databases are named by it: if this goes red, every stored run gets a new name."""
    assert SPEC.fingerprint == "ebbdf50aee37df0f8f353ed688b029a5a2b82ddf6ab5137fee7a86648c5c4362"


def test_json_gives_the_same_model_back():
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC
    assert json.loads(SPEC.to_json())["input_side_px"] == 640


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keypoint_names": 3}', SPEC.to_json().replace("licence", "lizenz")])
def test_other_json_is_one_line(text):
    with pytest.raises(ModelUnusable, match="cannot be read") as caught:
        ModelSpec.from_json(text)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "ABC"},
        {"input_side_px": 0},
        {"score_threshold": 1.5},
        {"nms_threshold": -0.1},
        {"keypoint_names": ()},
        {"keypoint_names": ("nose", "nose")},
        {"skeleton": ((0, 17),)},
    ],
)
def test_a_field_out_of_range_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change)).split("_")[0]):
        dataclasses.replace(SPEC, **change)


def test_the_skeleton_is_one_body():
    reached = {0}
    for _ in COCO_SKELETON:
        reached |= {end for pair in COCO_SKELETON if reached & set(pair) for end in pair}
    assert reached == set(range(17))
