"""rtmlib's own RTMPose reads the SimCC twins as their pictures say, alone and behind a detector's twin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from rtmlib import YOLOX, RTMPose

from tests.support.twin_maker import CELL_PX, Mark, expected, expected_body, paint, paint_bodies
from tests.support.twin_maker import Body as Painted
from tests.support.twin_simcc import make_simcc_twin
from tests.support.twin_yolox import make_yolox_twin

#: Input size (width, height) and keypoints of the published networks.
SIMCC = [((192, 256), 17), ((288, 384), 26), ((288, 384), 133), ((256, 256), 21)]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    at = tmp_path_factory.mktemp("twins")
    made = {"yolox": make_yolox_twin(at / "yolox.onnx", side_px=416, nms_inside=True, classes=80)}
    for (width, height), keypoints in SIMCC:
        path = at / f"simcc{keypoints}.onnx"
        made[f"simcc{keypoints}"] = make_simcc_twin(path, width_px=width, height_px=height, keypoints=keypoints)
    return made


def run_crops(path: Path, *crops: np.ndarray) -> list[np.ndarray]:
    batch = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"input": batch})


#: Of a picture of 900 x 700: boxes upright, lying, and at its edge.
BODIES = [
    Painted((60, 100, 200, 400)),
    Painted((380, 120, 700, 320), 150, 240, 90, (0.2, 0.3), (0.8, 0.6)),
    Painted((700, 420, 890, 690), 240, 120, 50, (0.7, 0.25), (0.3, 0.85)),
]


def crop_scale(body: Painted, size: tuple[int, int]) -> float:
    """Pixels of the picture per pixel of the crop: the box, a quarter larger, in the crop's shape."""
    x1, y1, x2, y2 = body.box_xyxy
    return 1.25 * max((x2 - x1) / size[0], (y2 - y1) / size[1])


@pytest.mark.parametrize(("size", "keypoints"), SIMCC)
def test_rtmlib_reads_a_simcc_twin_as_painted_where_it_gets_rgb(files, size, keypoints):
    model = RTMPose(str(files[f"simcc{keypoints}"]), size)
    picture = paint_bodies(BODIES, 900, 700)
    got, sure = model(picture[..., ::-1], [body.box_xyxy for body in BODIES])
    for body, places, scores in zip(BODIES, got, sure, strict=True):
        wanted = expected_body(body, keypoints)
        seen = wanted[:, 2] > 0
        assert seen.sum() == round(body.blue / 127 * keypoints)
        # Half a bin of half a pixel, and the blob's own rounding.
        np.testing.assert_allclose(places[seen], wanted[seen, :2], atol=0.3 * crop_scale(body, size))
        np.testing.assert_allclose(scores[seen], wanted[seen, 2], atol=0.01)
        assert (scores[~seen] <= 0).all()


def test_a_keypoint_that_is_not_seen_is_half_a_pixel_outside_of_the_crop(files):
    size, body = (192, 256), BODIES[2]
    (got,), _ = RTMPose(str(files["simcc17"]), size)(paint_bodies(BODIES, 900, 700)[..., ::-1], [body.box_xyxy])
    middle = np.array([body.box_xyxy[i] + body.box_xyxy[i + 2] for i in (0, 1)]) / 2
    corner = middle - crop_scale(body, size) * (np.array(size) / 2 + 0.5)
    np.testing.assert_allclose(got[-1], corner, atol=1e-3)
    for nothing in (Painted(body.box_xyxy, red=20), Painted(body.box_xyxy, green=20)):
        picture = paint_bodies([nothing], 900, 700)[..., ::-1]
        assert (RTMPose(str(files["simcc17"]), size)(picture, [body.box_xyxy])[1] < 0).all()
        assert (expected_body(nothing, 17)[:, 2] < 0).all()


def test_a_simcc_twin_poses_a_batch_as_its_crops_alone(files):
    model = RTMPose(str(files["simcc17"]), (192, 256))
    picture = paint_bodies(BODIES, 900, 700)[..., ::-1]
    crops = [model.preprocess(picture, body.box_xyxy)[0] for body in BODIES]
    together = run_crops(files["simcc17"], *crops)
    for i, crop in enumerate(crops):
        for one, many in zip(run_crops(files["simcc17"], crop), together, strict=True):
            np.testing.assert_allclose(one[0], many[i], atol=1e-6)


@pytest.mark.parametrize("wrong", [{"mean": (103.53, 116.28, 123.675)}, {"std": (57.375, 57.12, 58.395)}])
def test_a_wrong_mean_or_deviation_shows_in_the_confidences(files, wrong):
    picture, boxes = paint_bodies(BODIES, 900, 700)[..., ::-1], [BODIES[0].box_xyxy]
    right, other = (RTMPose(str(files["simcc17"]), (192, 256), **kw)(picture, boxes)[1] for kw in ({}, wrong))
    assert np.abs(right - other).max() > 0.003


def test_detector_and_pose_twins_read_the_same_picture(files):
    bodies = [Painted((100, 150, 300, 550)), Painted((600, 200, 840, 600), 240, 150, 100)]
    scale = 416 / 1000
    marks = [Mark(2, 4, 190, 170), Mark(9, 5, 185, 170)]
    assert [m.column * CELL_PX / scale for m in marks] == pytest.approx([153.8, 692.3], abs=0.1)
    picture = paint(marks, 1000, 700, 416, onto=paint_bodies(bodies, 1000, 700))
    boxes = YOLOX(str(files["yolox"]), (416, 416))(picture)
    np.testing.assert_allclose(boxes, expected(marks, 1000, 700, 416)[1], atol=0.01)
    got, sure = RTMPose(str(files["simcc17"]), (192, 256))(picture[..., ::-1], boxes)
    for body, places, scores in zip(bodies, got, sure, strict=True):
        wanted = expected_body(body, 17)
        seen = wanted[:, 2] > 0
        np.testing.assert_allclose(places[seen], wanted[seen, :2], atol=1.0)
        np.testing.assert_allclose(scores[seen], wanted[seen, 2], atol=0.02)
