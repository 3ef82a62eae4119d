"""Boxes as no twin would paint them: lying, partly or wholly outside of the picture, without an inside, turned over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rtmlib import YOLOX, RTMPose

from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.errors import InvalidOutput
from pipeline.inference.catalogue import find_entry
from pipeline.inference.contracts import Network
from pipeline.inference.detectors import Detector
from pipeline.inference.engines.placement import Placement, open_session
from pipeline.inference.engines.sessions import DeviceInfo, Float32s, Port
from pipeline.inference.topdown import TwoStage
from tests.support.contract_maker import NEAR_PX, NEAR_SCORE, Scene, assert_found, detect, load_twins, two_stage_scene
from tests.support.twin_maker import Body, Mark, expected_body, paint, paint_bodies
from tests.support.twin_simcc import make_simcc_twin
from tests.support.twin_yolox import make_yolox_twin

SIDE_PX = 64
#: Input size (width, height) and keypoints of the published networks.
SIMCC = [((192, 256), 17), ((192, 256), 26), ((288, 384), 133), ((256, 256), 21)]
#: Of a picture of 500 x 420, where no crop is coarser than it: upright, lying, nearly square, as large as it gets.
BODIES = [
    Body((20, 30, 100, 190)),
    Body((250, 20, 390, 110), 150, 240, 90, (0.2, 0.3), (0.8, 0.6)),
    Body((30, 260, 130, 380), 240, 120, 50, (0.7, 0.25), (0.3, 0.85)),
    Body((330, 190, 450, 390), 220, 220, 100, (0.5, 0.15), (0.4, 0.9)),
]
#: People whose boxes reach out of a picture of 460 x 400, with all that is to be seen of them inside.
AT_BORDERS = [
    Body((-60, 20, 80, 160), head=(0.6, 0.25), feet=(0.8, 0.8)),
    Body((400, 60, 520, 200), head=(0.2, 0.2), feet=(0.35, 0.8)),
    Body((200, -80, 280, 100), head=(0.4, 0.6), feet=(0.6, 0.85)),
    Body((190, 310, 300, 470), head=(0.3, 0.15), feet=(0.8, 0.4)),
]


class GivenBoxes:
    """A detector with the NMS inside that gives these boxes, whatever it sees; of the picture's own pixels."""

    device = DeviceInfo("none", "none", "none")
    inputs = (Port("input", (None, 3, SIDE_PX, SIDE_PX), True),)
    outputs = (Port("dets", (None, None, 5), True), Port("labels", (None, None), False))

    def __init__(self, boxes: Sequence[Sequence[float]], width: int, height: int) -> None:
        scale = min(SIDE_PX / width, SIDE_PX / height)
        scores = 0.9 - 0.01 * np.arange(len(boxes))
        self.dets = np.column_stack([np.array(boxes) * scale, scores]).astype(np.float32)

    def run(self, batch: Float32s, _: object) -> tuple[Float32s, ...]:
        self.seen = batch.copy()
        dets = np.repeat(self.dets[None], len(batch), axis=0)
        return dets, np.zeros(dets.shape[:2], np.int64)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[int, Path]:
    at = tmp_path_factory.mktemp("simcc")
    return {
        keypoints: make_simcc_twin(at / f"{keypoints}.onnx", width_px=width, height_px=height, keypoints=keypoints)
        for (width, height), keypoints in SIMCC
    }


def model_of(file: Path, size: tuple[int, int], keypoints: int, session: GivenBoxes) -> TwoStage:
    detector = NetworkSpec("yolox", "0" * 64, SIDE_PX, SIDE_PX)
    pose = NetworkSpec("simcc", "1" * 64, *size)
    names = tuple(map(str, range(keypoints)))
    spec = ModelSpec("given", pose, 0.3, 0.45, "", "", detector, names, ())
    found = Detector(Network(session, detector, file), 0.3, 0.45)
    return TwoStage(found, Network(open_session(file, Placement("cpu"), pose), pose, file), spec)


def scene_of(bodies: Sequence[Body], width: int, height: int, keypoints: int) -> tuple[Scene, GivenBoxes]:
    boxes = np.array([body.box_xyxy for body in bodies], np.float32)
    poses = np.array([expected_body(body, keypoints) for body in bodies])
    scores = 0.9 - 0.01 * np.arange(len(bodies), dtype=np.float32)
    scene = Scene(paint_bodies(bodies, width, height), scores, boxes, poses)
    return scene, GivenBoxes(boxes, width, height)


@pytest.mark.parametrize(("size", "keypoints"), SIMCC)
@pytest.mark.parametrize(("bodies", "width", "height"), [(BODIES, 500, 420), (AT_BORDERS, 460, 400)])
def test_boxes_of_every_shape_and_place_are_posed_as_by_rtmlib(files, size, keypoints, bodies, width, height):
    scene, session = scene_of(bodies, width, height, keypoints)
    model = model_of(files[keypoints], size, keypoints, session)
    [poses] = model.detect([scene.picture], [1.0])
    assert_found(poses, scene)
    oracle = RTMPose(str(files[keypoints]), size)
    keypoints_xy, seen = oracle(np.ascontiguousarray(scene.picture[..., ::-1]), scene.boxes_xyxy)
    np.testing.assert_allclose(poses.keypoints[:, :, :2], keypoints_xy, atol=NEAR_PX)
    np.testing.assert_allclose(poses.keypoints[:, :, 2], np.clip(seen, 0, 1), atol=NEAR_SCORE)


def test_a_keypoint_that_is_not_seen_is_at_the_crops_corner_without_confidence(files):
    scene, session = scene_of([BODIES[2]], 500, 420, 17)
    [poses] = model_of(files[17], (192, 256), 17, session).detect([scene.picture], [1.0])
    step = 1.25 * max(100 / 192, 120 / 256)
    corner = np.array([80, 320]) - step * (np.array([96, 128]) + 0.5)
    assert (scene.keypoints[0, :, 2] > 0).sum() == 7
    np.testing.assert_allclose(poses.keypoints[0, 7:], [[*corner, 0]] * 10, atol=0.001)


def test_a_box_is_cut_out_a_quarter_larger(files):
    """Somebody in the margin is seen, somebody farther out is not."""
    box = (150.0, 150.0, 150.0 + 96, 150.0 + 128)
    for margin, seen in ((0.11, True), (0.2, False)):
        outside = Body((box[2] + margin * 96 - 60, 170, box[2] + margin * 96 + 40, 260), head=(0.6, 0.2), feet=(0.6, 1))
        session = GivenBoxes([box], 400, 400)
        picture = paint_bodies([outside], 400, 400)
        [poses] = model_of(files[17], (192, 256), 17, session).detect([picture], [1.0])
        assert bool((poses.keypoints[0, :, 2] > 0.3).any()) is seen


@pytest.mark.parametrize(
    "box",
    [
        (50, 50, 50, 50),
        (50, 50, 50, 150),
        (50, 50, 150, 50),
        (80, 90, 40, 30),
        (-500, -500, -400, -300),
        (9000, 9000, 9100, 9200),
        (0, 0, 0, 0),
        (-1e4, -1e4, 1e4, 1e4),
        (10, 10, 10.01, 10.01),
        (459, 399, 460, 400),
        (0, 0, 1e30, 1e30),
    ],
    ids=str,
)
def test_a_box_without_an_inside_or_outside_of_the_picture_disturbs_nobody(files, box):
    whole, session = scene_of(AT_BORDERS[:2], 460, 400, 17)
    session.dets = np.insert(session.dets, 1, [*(np.array(box) * SIDE_PX / 460), 0.895], axis=0)
    [poses] = model_of(files[17], (192, 256), 17, session).detect([whole.picture], [1.0])
    assert len(poses) == 3
    np.testing.assert_allclose(poses.boxes_xyxy[1], box, rtol=1e-5, atol=1e-3)
    assert np.isfinite(poses.keypoints).all()
    assert (poses.keypoints[:, :, 2] >= 0).all()
    rest = [0, 2]
    others = type(poses)(poses.scores[rest], poses.boxes_xyxy[rest], poses.keypoints[rest])
    assert_found(others, whole)


def test_boxes_in_any_order_come_out_best_first_and_ties_as_they_were(files):
    scene, session = scene_of(BODIES, 500, 420, 17)
    session.dets[:, 4] = (0.5, 0.9, 0.5, 0.7)
    [poses] = model_of(files[17], (192, 256), 17, session).detect([scene.picture], [1.0])
    order = [1, 3, 0, 2]
    wanted = Scene(scene.picture, session.dets[order, 4], scene.boxes_xyxy[order], scene.keypoints[order])
    assert_found(poses, wanted)


@pytest.mark.parametrize("name", ["rtmo-t", "rtmpose-s"])
def test_of_two_as_good_the_networks_first_is_first(tmp_path, name):
    raw = {} if name == "rtmo-t" else {"detector": tmp_path / "raw.onnx"}
    for path in raw.values():
        make_yolox_twin(path, side_px=416, nms_inside=False)
    marks = [Mark(column, 4, 190, 100) for column in (2, 6, 10)]
    poses = detect(load_twins(tmp_path / "models", name, **raw), paint(marks, 416, 416, 416))
    np.testing.assert_allclose(poses.boxes_xyxy, [mark.box(1) for mark in marks], atol=0.01)


@pytest.mark.parametrize(("width", "height"), [(427, 391), (100, 61), (61, 100), (64, 64), (33, 47), (640, 10)])
def test_a_detector_is_given_what_rtmlib_gives_it(files, width, height):
    _, session = scene_of(BODIES[:1], width, height, 17)
    picture = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    model_of(files[17], (192, 256), 17, session).detect([picture], [1.0])
    wanted, _ = YOLOX.preprocess(SimpleNamespace(model_input_size=(SIDE_PX, SIDE_PX)), picture)
    np.testing.assert_array_equal(session.seen[0].transpose(1, 2, 0), wanted)


def test_a_score_above_one_is_one(files):
    scene, session = scene_of(BODIES[:1], 500, 420, 17)
    session.dets[:, 4] = 1.0000002
    [poses] = model_of(files[17], (192, 256), 17, session).detect([scene.picture], [1.0])
    assert poses.scores.tolist() == [1.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_boxes_that_are_no_places_are_refused(files, bad):
    scene, session = scene_of(BODIES[:1], 500, 420, 17)
    model = model_of(files[17], (192, 256), 17, session)
    session.dets[0, 2] = bad
    with pytest.raises(InvalidOutput, match="not numbers"):
        model.detect([scene.picture], [1.0])


@pytest.mark.parametrize("name", ["rtmpose-s", "rtmpose-x-feet"])
def test_people_in_the_corners_of_the_picture(tmp_path, name):
    model = load_twins(tmp_path, name)
    side_px = find_entry(name).detector.width_px
    last = side_px // 32 - 1
    # Boxes of 96 x 144 around the middles of the outermost cells, so most of each is outside.
    marks = [Mark(*at, 190 - i, 160) for i, at in enumerate([(0, 0), (last, 0), (0, last), (last, last)])]
    scene = two_stage_scene(marks, side_px, side_px, side_px)
    [poses] = model.detect([scene.picture], [1.0])
    np.testing.assert_allclose(poses.boxes_xyxy, scene.boxes_xyxy, atol=0.01)
    assert (poses.boxes_xyxy[0, :2] < -30).all()
    assert (poses.boxes_xyxy[3, 2:] > side_px + 30).all()
    assert np.isfinite(poses.keypoints).all()
