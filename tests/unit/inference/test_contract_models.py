"""Every model of the catalogue finds in a painted picture who was painted, through its contract twins, by its name."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pipeline.inference.catalogue import ALIASES, BUNDLED_MODEL, ENTRIES, find_entry
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.weights.checksums import sha256_of
from pipeline.inference.zoo import find_model, list_models
from tests.support.contract_maker import (
    Scene,
    assert_found,
    detect,
    load_twins,
    one_stage_scene,
    people_at,
    put_twins,
    two_stage_scene,
)
from tests.support.twin_maker import Mark
from tests.support.twin_yolox import make_yolox_twin

#: All but the bundled one, which has its own tests, on its own weights (`test_inference_rtmo.py`).
NAMES = [name for name in ENTRIES if name != BUNDLED_MODEL]
#: Keypoints by what the name says.
COUNTS = {"rtmo": 17, "feet": 26, "rtmw": 133, "hand": 21}
#: Of the picture, relative to the network's square: of its size, larger, smaller, upright.
SHAPES = [(1.0, 1.0), (1.25, 1.0), (0.9, 0.8), (0.9, 1.2)]
DOG = Mark(4, 6, 188, 100, 150)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PoseModel]:
    folder = tmp_path_factory.mktemp("models")
    return {name: load_twins(folder, name) for name in NAMES}


def side_of(name: str) -> int:
    entry = find_entry(name)
    return (entry.detector or entry.pose).width_px


def scene_of(name: str, marks: list[Mark], shape: tuple[float, float] = (1, 1)) -> Scene:
    entry, side_px = find_entry(name), side_of(name)
    make = two_stage_scene if entry.detector else one_stage_scene
    width, height = (round(side_px * times) for times in shape)
    return make(marks, width, height, side_px, len(entry.keypoints.names))


@pytest.mark.parametrize(("name", "count"), [*product(NAMES, [0, 1, 2])])
def test_a_model_finds_who_is_there(models, name, count):
    scene = scene_of(name, people_at(side_of(name), count), (1.25, 1.0))
    assert len(scene.scores) == count
    assert_found(detect(models[name], scene.picture), scene)


@pytest.mark.parametrize(("name", "shape"), [*product(NAMES, SHAPES)])
def test_a_model_finds_everybody_in_pictures_of_any_shape(models, name, shape):
    side_px = side_of(name)
    marks = people_at(side_px, 6)
    largest = max(shape)
    marks = [m for m in marks if (m.column + 2) * 32 * largest <= side_px * shape[0]]
    marks = [m for m in marks if (m.row + 3) * 32 * largest <= side_px * shape[1]]
    scene = scene_of(name, marks, shape)
    assert len(scene.scores) == len(marks) >= 2
    assert marks[0].red / 255 != scene.scores[0]  # they have to be put in order
    assert_found(detect(models[name], scene.picture), scene)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_says_what_its_keypoints_are(models, name):
    count = next((count for word, count in COUNTS.items() if word in name), 17)
    spec = models[name].spec
    assert len(spec.keypoint_names) == count
    assert spec.keypoint_names[0] == ("wrist" if count == 21 else "nose")
    assert {17: "right_ankle", 26: "right_heel", 133: "right_pinky_finger4", 21: "pinky_finger4"}[count] == (
        spec.keypoint_names[-1]
    )
    side_px = side_of(name)
    assert spec.side_px == (None if spec.detector else side_px)
    poses = detect(models[name], scene_of(name, people_at(side_px, 2)).picture)
    assert poses.keypoints.shape == (2, count, 3)
    assert (models[name].device.provider, models[name].batch) == ("CPUExecutionProvider", 1)


@pytest.mark.parametrize("name", NAMES)
def test_who_is_below_the_threshold_is_nobody(models, name):
    spec = models[name].spec
    unsure, sure = (Mark(*at, round(255 * spec.score_threshold) + by, 100) for at, by in (((2, 2), -3), ((6, 2), 3)))
    scene = scene_of(name, [unsure, sure])
    assert len(scene.scores) == 1
    assert_found(detect(models[name], scene.picture), scene)


def test_every_name_has_a_twin_and_all_are_here(tmp_path):
    for name in NAMES:
        put_twins(tmp_path, find_entry(name))
    assert all(state.is_local for state in list_models(tmp_path))
    specs = {name: find_model(name, tmp_path).spec for name in [*NAMES, *ALIASES]}
    assert {alias: specs[alias] for alias in ALIASES} == {alias: specs[name] for alias, name in ALIASES.items()}
    assert set(ALIASES.values()) == {"rtmpose-s", "rtmpose-m", "rtmpose-x"}
    for name in NAMES:
        assert specs[name].name == name
        files = [weights.file_in(tmp_path) for weights in find_entry(name).weights]
        assert list(specs[name].weights_sha256s) == [sha256_of(file) for file in files]


VARIANTS = [
    *({"nms_inside": inside, "classes": classes} for inside in (False, True) for classes in (1, 80)),
    {"nms_inside": True, "batch": 1},
    {"nms_inside": False, "classes": 80, "batch": 1},
]


def variant(path: Path, **options: object) -> Path:
    return make_yolox_twin(path / "given.onnx", side_px=416, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_form_of_yolox_finds_the_same_and_no_dogs(tmp_path, options):
    model = load_twins(tmp_path / "models", "rtmpose-s", detector=variant(tmp_path, **options))
    scene = scene_of("rtmpose-s", [*people_at(416, 3), DOG], (1.25, 1.0))
    assert len(scene.scores) == 3
    assert_found(detect(model, scene.picture), scene)
    for marks in ([], [DOG]):
        assert len(detect(model, scene_of("rtmpose-s", marks).picture)) == 0


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_people_of_every_stride_are_found(tmp_path, options):
    model = load_twins(tmp_path / "models", "rtmpose-s", detector=variant(tmp_path, **options))
    # 16 + green / 2 pixels wide: below 40, from 40 on, from 80 on; and one in the last cell.
    marks = [Mark(2, 2, 190, 30), Mark(6, 3, 186, 90), Mark(10, 8, 188, 160), Mark(12, 12, 80, 30), Mark(2, 10, 77, 90)]
    scene = one_stage_scene(marks, 416, 416, 416)
    poses = detect(model, scene.picture)
    order = [m for m in sorted(marks, key=lambda m: -m.red) if m.red > 76]
    np.testing.assert_allclose(poses.scores, [m.red / 255 for m in order], atol=1e-4)
    np.testing.assert_allclose(poses.boxes_xyxy, [m.box(1) for m in order], atol=0.01)


@pytest.mark.parametrize("classes", [1, 80])
def test_of_two_that_overlap_the_better_stays(tmp_path, classes):
    """An IoU of 0.63 is more than 0.45, but less than the 0.65 of the NMS that mmdeploy puts inside."""
    two, far = [Mark(5, 5, 185, 255), Mark(6, 5, 190, 255)], Mark(5, 11, 180, 30)
    picture = one_stage_scene([*two, far], 416, 416, 416).picture
    found = {}
    for inside in (False, True):
        given = variant(tmp_path, nms_inside=inside, classes=classes)
        model = load_twins(tmp_path / f"models{inside}", "rtmpose-s", detector=given)
        found[inside] = (detect(model, picture).scores * 255).round().tolist()
    assert found == {False: [190, 180], True: [190, 185, 180]}


def test_of_two_that_overlap_one_stays_for_rtmo(models):
    scene = one_stage_scene([Mark(5, 5, 185, 255), Mark(6, 5, 190, 255)], 416, 416, 416)
    poses = detect(models["rtmo-t"], scene.picture)
    assert (poses.scores * 255).round().tolist() == [190]
    np.testing.assert_allclose(poses.boxes_xyxy[0], scene.boxes_xyxy[0], atol=0.01)


def test_fifty_people_and_the_network_has_room_for_no_more(models):
    marks = [Mark(i % 13, i // 13, 255 - i, 0) for i in range(60)]
    scene = one_stage_scene(marks, 416, 416, 416)
    poses = detect(models["rtmo-t"], scene.picture)
    np.testing.assert_allclose(poses.scores, scene.scores[:50], atol=1e-5)
    np.testing.assert_allclose(poses.keypoints, scene.keypoints[:50], atol=0.01)
