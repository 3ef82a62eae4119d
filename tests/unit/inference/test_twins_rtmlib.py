"""What rtmlib 0.0.16 does that Poseline must not do, shown on the contract twins: one fact a test.

Where one of these goes red, rtmlib has changed, and what is held against it must be looked at again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rtmlib import RTMO, YOLOX, Body, RTMPose

from tests.support.twin_maker import Body as Painted
from tests.support.twin_maker import Mark, expected, expected_body, paint, paint_bodies
from tests.support.twin_rtmo import make_rtmo_twin
from tests.support.twin_simcc import MEAN_RGB, STD_RGB, make_simcc_twin
from tests.support.twin_yolox import make_yolox_twin

SIDE = 416
PERSON, DOG = Mark(3, 2, 190, 60), Mark(8, 5, 186, 90, 150)
BODY = Painted((60, 100, 200, 400))


@pytest.fixture
def rtmpose(tmp_path) -> RTMPose:
    return RTMPose(str(make_simcc_twin(tmp_path / "s.onnx", width_px=192, height_px=256, keypoints=17)), (192, 256))


def yolox(tmp_path: Path, *, inside: bool, classes: int = 80, **options) -> YOLOX:
    path = make_yolox_twin(tmp_path / f"yolox{inside}.onnx", side_px=SIDE, nms_inside=inside, classes=classes)
    return YOLOX(str(path), (SIDE, SIDE), **options)


def test_an_empty_frame_has_one_person_of_zeros(tmp_path):
    model = RTMO(str(make_rtmo_twin(tmp_path / "rtmo.onnx", side_px=SIDE)), (SIDE, SIDE))
    keypoints, scores = model(paint([], 640, 480, SIDE))
    assert (keypoints.shape, scores.shape) == ((1, 17, 2), (1, 17))
    assert not keypoints.any()
    assert not scores.any()


def test_a_pose_model_is_given_bgr_with_the_mean_of_rgb(rtmpose):
    """The network gets something else than in mmpose, whose configurations say `bgr_to_rgb=True`."""
    np.testing.assert_allclose([rtmpose.mean, rtmpose.std], [MEAN_RGB, STD_RGB])
    picture = paint_bodies([BODY], 640, 480)
    wanted = expected_body(BODY, 17)
    (right,), (sure,) = rtmpose(picture[..., ::-1], [BODY.box_xyxy])
    np.testing.assert_allclose(right, wanted[:, :2], atol=0.5)
    np.testing.assert_allclose(sure, wanted[:, 2], atol=0.01)
    (wrong,), (unsure,) = rtmpose(picture, [BODY.box_xyxy])
    assert np.abs(wrong - wanted[:, :2]).max() > 10
    assert np.abs(unsure - wanted[:, 2]).max() > 0.1


def test_no_boxes_are_taken_for_one_of_the_whole_picture(rtmpose):
    picture = paint_bodies([BODY], 640, 480)[..., ::-1]
    keypoints, _ = rtmpose(picture, [])
    assert keypoints.shape == (1, 17, 2)
    np.testing.assert_allclose(keypoints[0], rtmpose(picture, [(0, 0, 640, 480)])[0][0])
    np.testing.assert_allclose(keypoints[0], expected_body(BODY, 17)[:, :2], atol=2)


@pytest.mark.parametrize("inside", [False, True])
def test_a_dog_counts_as_a_person(tmp_path, inside):
    boxes = yolox(tmp_path, inside=inside, det_mode="human")(paint([PERSON, DOG], 640, 480, SIDE))
    np.testing.assert_allclose(boxes, [m.box(SIDE / 640) for m in (PERSON, DOG)], atol=0.01)


def test_the_classes_are_there_without_nms_inside(tmp_path):
    _, classes = yolox(tmp_path, inside=False, det_mode="multiclass")(paint([PERSON, DOG], 640, 480, SIDE))
    assert classes.tolist() == [0, 16]


def test_the_classes_are_lost_with_nms_inside(tmp_path):
    with pytest.raises(UnboundLocalError):
        yolox(tmp_path, inside=True, det_mode="multiclass")(paint([PERSON, DOG], 640, 480, SIDE))


def test_the_score_threshold_is_not_looked_at_with_nms_inside(tmp_path):
    unsure, faint = Mark(8, 5, 90), Mark(5, 4, 60)  # 0.35, 0.24
    picture = paint([PERSON, unsure, faint], 640, 480, SIDE)
    wanted = expected([PERSON, unsure], 640, 480, SIDE)[1]
    for threshold in (0.1, 0.7):
        boxes = yolox(tmp_path, inside=True, score_thr=threshold)(picture)
        np.testing.assert_allclose(boxes, wanted, atol=0.01)
    assert [len(yolox(tmp_path, inside=False, score_thr=t)(picture)) for t in (0.1, 0.7)] == [3, 1]


def test_a_body_given_an_rtmo_takes_another(monkeypatch):
    taken = []
    monkeypatch.setattr("rtmlib.tools.RTMO", lambda path, model_input_size, **_: taken.append((path, model_input_size)))
    asked = "rtmo-t_8xb32-600e_body7-416x416-f48f75cb_20231219.onnx"
    Body(pose=asked, pose_input_size=(416, 416), mode="balanced")
    ((path, size),) = taken
    assert asked not in path
    assert "rtmo-m_16xb16-600e_body7-640x640" in path
    assert size == (640, 640)
