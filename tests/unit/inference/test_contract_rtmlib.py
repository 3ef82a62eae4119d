"""Poseline and rtmlib's own classes, on the same twins and pictures: alike where rtmlib is right, and only there.

That rtmlib does what is not followed here is shown by `test_twins_rtmlib.py`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rtmlib import RTMO, YOLOX, RTMDet, RTMPose

from pipeline.core.poses import FramePoses
from pipeline.inference.catalogue import find_entry
from pipeline.inference.engines.placement import Placement
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.zoo import find_model, load_model
from tests.support.contract_maker import (
    NEAR_PX,
    NEAR_SCORE,
    Scene,
    detect,
    letterbox,
    load_twins,
    one_stage_scene,
    people_at,
    put_twins,
    two_stage_scene,
)
from tests.support.twin_maker import Image, Mark
from tests.support.twin_yolox import make_yolox_twin

TWO_STAGES = ["rtmpose-s", "rtmpose-x", "rtmpose-m-feet", "rtmw-m", "rtmw-l-384", "rtmpose-m-hand"]
PICTURES = [(640, 480), (416, 416), (427, 391), (333, 517), (640, 640)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def models(folder) -> dict[str, PoseModel]:
    return {name: load_twins(folder, name) for name in ["rtmo-t", "rtmo-m", *TWO_STAGES]}


@cache
def paths_of(folder: Path, name: str) -> list[Path]:
    found = find_model(name, folder)
    return [found.paths[network.weights_sha256] for network in found.spec.networks]


@cache
def oracle_of(folder: Path, name: str) -> tuple[YOLOX | RTMDet, RTMPose]:
    spec, (detector, pose) = find_model(name, folder).spec, paths_of(folder, name)
    side_px = spec.networks[0].width_px
    kind = YOLOX if spec.networks[0].decoder == "yolox" else RTMDet
    return kind(str(detector), (side_px, side_px)), RTMPose(str(pose), (spec.pose.width_px, spec.pose.height_px))


@cache
def rtmo_of(folder: Path, name: str, side_px: int) -> RTMO:
    return RTMO(str(paths_of(folder, name)[0]), (side_px, side_px))


def grainy(picture: Image, seed: int) -> Image:
    """Noise where it is dark, so that no two pixels of a crop or of a letterbox are alike."""
    noise = np.random.default_rng(seed).integers(0, 40, picture.shape, np.uint8)
    return np.where(picture.max(axis=2, keepdims=True) < 31, noise, picture)


def scene_of(name: str, width: int, height: int) -> Scene:
    entry = find_entry(name)
    side_px = (entry.detector or entry.pose).width_px
    scale = min(side_px / width, side_px / height)
    marks = [
        m
        for m in people_at(side_px, 6)
        if (m.column + 1.5) * 32 <= width * scale and (m.row + 2.5) * 32 <= height * scale
    ]
    make = two_stage_scene if entry.detector else one_stage_scene
    scene = make(marks, width, height, side_px, len(entry.keypoints.names))
    return Scene(grainy(scene.picture, width * height), scene.scores, scene.boxes_xyxy, scene.keypoints)


def in_order(boxes: np.ndarray, poses: FramePoses) -> np.ndarray:
    """For each of Poseline's people, which of rtmlib's boxes is theirs."""
    assert len(boxes) == len(poses)
    nearest = np.abs(boxes[None] - poses.boxes_xyxy[:, None]).max(axis=2).argmin(axis=1)
    assert sorted(nearest) == list(range(len(boxes)))
    return nearest


@pytest.mark.parametrize("name", ["rtmo-t", "rtmo-m"])
@pytest.mark.parametrize(("width", "height"), PICTURES)
def test_rtmo_is_rtmlibs(models, folder, name, width, height):
    side_px = models[name].spec.side_px
    oracle = rtmo_of(folder, name, side_px)
    scene = scene_of(name, width, height)
    keypoints, seen = oracle(scene.picture)
    poses = detect(models[name], scene.picture)
    assert len(poses) == len(scene.scores) >= 2
    np.testing.assert_allclose(poses.keypoints[:, :, :2], keypoints, atol=1e-3)
    np.testing.assert_array_equal(poses.keypoints[:, :, 2], seen)


@pytest.mark.parametrize("name", TWO_STAGES)
@pytest.mark.parametrize(("width", "height"), PICTURES)
def test_two_stages_are_rtmlibs_where_it_is_given_rgb(models, folder, name, width, height):
    find, pose = oracle_of(folder, name)
    scene = scene_of(name, width, height)
    boxes = find(scene.picture)
    poses = detect(models[name], scene.picture)
    order = in_order(boxes, poses)
    assert len(poses) == len(scene.scores) >= 1
    np.testing.assert_allclose(poses.boxes_xyxy, boxes[order], atol=1e-3)
    keypoints, seen = pose(np.ascontiguousarray(scene.picture[..., ::-1]), boxes[order])
    np.testing.assert_allclose(poses.keypoints[:, :, :2], keypoints, atol=NEAR_PX)
    np.testing.assert_allclose(poses.keypoints[:, :, 2], np.clip(seen, 0, 1), atol=NEAR_SCORE)


@pytest.mark.parametrize("classes", [1, 80])
def test_raw_yolox_is_rtmlibs(tmp_path, classes):
    given = make_yolox_twin(tmp_path / "raw.onnx", side_px=416, nms_inside=False, classes=classes)
    model = load_twins(tmp_path / "models", "rtmpose-s", detector=given)
    # Sizes of all strides, and two of whom one goes.
    marks = [Mark(2, 2, 190, 30), Mark(7, 3, 186, 90), Mark(2, 8, 185, 255), Mark(3, 8, 183, 255), Mark(10, 9, 90, 150)]
    picture = grainy(one_stage_scene(marks, 500, 480, 416).picture, 1)
    boxes = YOLOX(str(given), (416, 416), score_thr=0.3)(picture)
    poses = detect(model, picture)
    assert len(poses) == 4
    np.testing.assert_allclose(poses.boxes_xyxy, boxes[in_order(boxes, poses)], atol=1e-3)


def test_a_pose_is_of_red_green_blue_where_rtmlib_gives_blue_green_red(models, folder):
    scene = scene_of("rtmpose-s", 500, 375)
    _, pose = oracle_of(folder, "rtmpose-s")
    wrong, _ = pose(scene.picture, scene.boxes_xyxy)
    poses = detect(models["rtmpose-s"], scene.picture)
    seen = scene.keypoints[:, :, 2] > 0
    assert np.abs(wrong - scene.keypoints[:, :, :2])[seen].max() > 10
    assert np.abs(poses.keypoints - scene.keypoints)[seen].max() < NEAR_PX


@pytest.mark.parametrize("name", ["rtmo-t", "rtmpose-s", "rtmpose-m-hand"])
def test_nobody_is_nobody_where_rtmlib_has_zeros_or_the_whole_picture(models, folder, name):
    empty = grainy(np.full((480, 640, 3), 20, np.uint8), 2)
    if name == "rtmo-t":
        keypoints, _ = rtmo_of(folder, name, 416)(empty)
        assert not keypoints.any()
    else:
        find, pose = oracle_of(folder, name)
        keypoints, _ = pose(empty, find(empty))
    assert len(keypoints) == 1
    assert detect(models[name], empty).keypoints.shape == (0, 0, 3)


def test_a_body_without_a_box_is_not_posed(models, folder):
    """Somebody whom only the second network would see."""
    scene = scene_of("rtmpose-s", 500, 375)
    hidden = scene.picture.copy()
    hidden[hidden[..., 0] > 150] = 30
    find, pose = oracle_of(folder, "rtmpose-s")
    assert (pose(np.ascontiguousarray(hidden[..., ::-1]), find(hidden))[1] > 0.3).any()
    assert len(detect(models["rtmpose-s"], hidden)) == 0


@pytest.mark.parametrize("name", ["rtmo-t", "rtmo-s", "rtmo-m", "rtmo-l"])
def test_the_rtmo_that_is_asked_for_is_the_one_that_runs(tmp_path, name):
    """`Body` would take `rtmo-m` whatever it is given."""
    model = load_twins(tmp_path, name)
    assert model.spec.name == name
    assert model.spec.side_px == (416 if name == "rtmo-t" else 640)
    assert find_model(name, tmp_path).path == tmp_path / f"{name}.onnx"


@pytest.mark.parametrize("inside", [False, True])
def test_the_threshold_is_the_models_and_not_rtmlibs(tmp_path, inside):
    given = make_yolox_twin(tmp_path / "given.onnx", side_px=416, nms_inside=inside, classes=80)
    put_twins(tmp_path, find_entry("rtmpose-s"), detector=given)
    found = find_model("rtmpose-s", tmp_path)
    marks = [Mark(3, 2, 190, 60), Mark(8, 5, 90), Mark(5, 9, 60)]  # 0.75, 0.35, 0.24
    picture = one_stage_scene(marks, 480, 480, 416).picture
    counts = []
    for threshold in (0.1, 0.3, 0.5, 0.8):
        asked = replace(found, spec=replace(found.spec, score_threshold=threshold))
        counts.append(len(detect(load_model(asked, Placement("cpu")), picture)))
    assert counts == [3, 2, 1, 0]
    if inside:
        assert [len(YOLOX(str(given), (416, 416), score_thr=t)(picture)) for t in (0.1, 0.8)] == [2, 2]


@pytest.mark.parametrize("inside", [False, True])
def test_a_dog_is_a_person_to_rtmlib_only(tmp_path, inside):
    given = make_yolox_twin(tmp_path / "dogs.onnx", side_px=416, nms_inside=inside, classes=80)
    marks = [Mark(3, 2, 185, 60), Mark(8, 5, 189, 90, 150)]
    picture = one_stage_scene(marks, 480, 480, 416).picture
    assert len(YOLOX(str(given), (416, 416))(picture)) == 2
    poses = detect(load_twins(tmp_path / "models", "rtmpose-s", detector=given), picture)
    np.testing.assert_allclose(poses.boxes_xyxy, [marks[0].box(416 / 480)], atol=0.01)


def test_a_dog_upon_a_person_hides_nobody(tmp_path):
    """Where the NMS is ours, a better box of another class does not drop a person's, as in rtmlib."""
    given = make_yolox_twin(tmp_path / "dogs.onnx", side_px=416, nms_inside=False, classes=80)
    marks = [Mark(5, 5, 185, 255), Mark(6, 5, 190, 255, 150)]
    picture = one_stage_scene(marks, 416, 416, 416).picture
    poses = detect(load_twins(tmp_path / "models", "rtmpose-s", detector=given), picture)
    np.testing.assert_allclose(poses.boxes_xyxy, [marks[0].box(1)], atol=0.01)


def test_the_letterbox_of_these_tests_is_rtmlibs(folder, models):
    oracle = rtmo_of(folder, "rtmo-t", 416)
    for width, height in PICTURES:
        picture = grainy(np.full((height, width, 3), 20, np.uint8), width)
        square, scale = letterbox(picture, 416)
        other, ratio = oracle.preprocess(picture)
        np.testing.assert_array_equal(square, other)
        assert scale == ratio
