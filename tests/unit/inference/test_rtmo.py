"""Poses are rtmlib's own, to the bit, and do not depend on the batch, the thread, or the rows that pad a batch."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from rtmlib import RTMO

from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.core.poses import FramePoses
from pipeline.errors import InvalidOutput, InvalidWeights
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.contracts import Network
from pipeline.inference.engines.placement import Placement, open_session
from pipeline.inference.engines.sessions import DeviceInfo, Port
from pipeline.inference.rtmo import OneStage
from pipeline.inference.zoo import FoundModel, find_model
from tests.support.paths import ROOT

CLIPS = ROOT.parent / "shared" / "clips"
SIDE_PX = 384


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> FoundModel:
    return find_model(BUNDLED_MODEL, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def network(found) -> Network:
    return Network(open_session(found.path, Placement("cpu"), found.spec.pose), found.spec.pose, found.path)


@pytest.fixture(scope="module")
def model(network, found) -> OneStage:
    return OneStage(network, found.spec)


@pytest.fixture(scope="module")
def many(network, found) -> OneStage:
    """The same model with so low a threshold that the painted person is found, and ghosts beside the real ones."""
    return OneStage(network, dataclasses.replace(found.spec, score_threshold=0.02))


@pytest.fixture(scope="module")
def oracle(found) -> RTMO:
    """rtmlib itself, on the same weights and thresholds."""
    return RTMO(
        str(found.path),
        model_input_size=(SIDE_PX, SIDE_PX),
        score_thr=found.spec.score_threshold,
        nms_thr=found.spec.nms_threshold,
        backend="onnxruntime",
    )


def painted_person(width_px: int = 500, height_px: int = 700) -> np.ndarray:
    """A figure that the model takes for a person, with a score of 0.15."""
    image = np.full((height_px, width_px, 3), 190, np.uint8)
    skin, shirt, trousers = (140, 170, 215), (40, 40, 180), (90, 50, 30)
    cv2.ellipse(image, (250, 130), (42, 55), 0, 0, 360, skin, -1)
    cv2.rectangle(image, (185, 190), (315, 400), shirt, -1)
    for x in (165, 335):
        cv2.line(image, (250 + (x - 250) * 2 // 3, 205), (x, 400), skin, 34)
    for x in (215, 285):
        cv2.line(image, (x, 400), (x, 640), trousers, 52)
    for x in (235, 265):
        cv2.circle(image, (x, 120), 5, (20, 20, 20), -1)
    return cv2.GaussianBlur(image, (7, 7), 0)


def clip_frames() -> list[np.ndarray]:
    frames = []
    for path in sorted(CLIPS.glob("*.mp4")):
        with av.open(str(path)) as clip:
            for number, frame in enumerate(clip.decode(video=0)):
                if number % 25 == 0:
                    frames.append(frame.to_ndarray(format="bgr24"))
                if number >= 90:
                    break
    return frames


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    person = painted_person()
    return [person, np.hstack([person, person[:, ::-1] // 2]), *clip_frames()]


@pytest.fixture(scope="module")
def squares(oracle, frames) -> tuple[np.ndarray, list[float]]:
    """The frames as the decoder hands them over: uint8 [n, S, S, 3] and scales."""
    images, scales = zip(*(oracle.preprocess(frame) for frame in frames), strict=True)
    return np.stack(images), list(scales)


def assert_same(one: list[FramePoses], other: list[FramePoses]) -> None:
    assert [len(poses) for poses in one] == [len(poses) for poses in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.scores, b.scores)
        np.testing.assert_array_equal(a.boxes_xyxy, b.boxes_xyxy)
        np.testing.assert_array_equal(a.keypoints, b.keypoints)


@pytest.mark.parametrize("score_threshold", [0.2, 0.02], ids=["as published", "low, so that many rows overlap"])
def test_poses_are_rtmlibs(network, model, oracle, frames, squares, score_threshold):
    mine = OneStage(network, dataclasses.replace(model.spec, score_threshold=score_threshold))
    people = 0
    for frame, image, scale in zip(frames, *squares, strict=True):
        [poses] = mine.detect(image[None], [scale])
        keypoints, confidences = oracle(frame, score_thr=score_threshold)
        if not len(poses):
            assert not keypoints.any()
            continue
        people += len(poses)
        assert len(poses) == len(keypoints)
        assert np.abs(poses.keypoints[:, :, :2] - keypoints).max() < 0.01
        np.testing.assert_array_equal(poses.keypoints[:, :, 2], confidences)
    assert people or (score_threshold == 0.2 and not CLIPS.is_dir())


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips are not beside this checkout")
def test_real_people_are_found_where_they_are(model, squares, frames):
    for poses, frame in zip(model.detect(*squares)[2:], frames[2:], strict=True):
        assert 1 <= len(poses) <= 3
        middles = (poses.boxes_xyxy[:, :2] + poses.boxes_xyxy[:, 2:]) / 2
        assert (middles > 0).all()
        assert (middles < frame.shape[1::-1]).all()
        assert (np.diff(poses.scores) <= 0).all()
        assert (poses.scores > model.spec.score_threshold).all()


def test_nobody_is_length_zero_where_rtmlib_invents_a_person_of_zeros(model, oracle):
    black = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    [poses] = model.detect(black[None], [1.0])
    assert (len(poses), poses.keypoints.shape) == (0, (0, 0, 3))
    keypoints, confidences = oracle(black)
    assert keypoints.shape == (1, 17, 2)
    assert not keypoints.any()
    assert not confidences.any()


def test_a_batch_is_its_frames(many, squares):
    images, scales = squares
    black = np.zeros_like(images[:1])
    images, scales = np.concatenate([images[:2], black, images[2:]]), [*scales[:2], 1.0, *scales[2:]]
    one_by_one = [many.detect(image[None], [scale])[0] for image, scale in zip(images, scales, strict=True)]
    by_four = [
        poses for at in range(0, len(images), 4) for poses in many.detect(images[at : at + 4], scales[at : at + 4])
    ]
    assert_same(one_by_one, by_four)
    assert sum(map(len, by_four)) > 0
    assert many.detect(images[:0], []) == []


def test_batches_as_a_gpu_runs_them_move_no_more_than_the_last_bits(many, network, squares):
    class Batching:
        """The same session, so that `detect` does not take it for a CPU."""

        device = DeviceInfo("none", "none", "none", is_gpu=True)
        inputs = network.session.inputs
        outputs = network.session.outputs
        run = network.session.run

    images, scales = squares
    one_by_one = many.detect(images, scales)
    batching = OneStage(Network(Batching(), many.spec.pose, Path("batching.onnx")), many.spec)
    for alone, together in zip(one_by_one, batching.detect(images, scales), strict=True):
        assert len(alone) == len(together)
        np.testing.assert_allclose(alone.scores, together.scores, rtol=1e-5)
        np.testing.assert_allclose(alone.boxes_xyxy, together.boxes_xyxy, rtol=0, atol=0.01)
        np.testing.assert_allclose(alone.keypoints, together.keypoints, rtol=0, atol=0.01)


def test_four_threads_at_once_are_one_thread(many, squares):
    images, scales = squares
    turns = [i % len(images) for i in range(24)]
    alone = [many.detect(images[i : i + 1], scales[i : i + 1])[0] for i in turns]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda i: many.detect(images[i : i + 1], scales[i : i + 1])[0], turns))
    assert_same(alone, together)


def test_read_only_frames_in_shared_memory_will_do(many, squares):
    images, scales = squares
    spaced = np.zeros((len(images), 2, *images.shape[1:]), np.uint8)
    spaced[:, 0] = images
    view = spaced[:, 0]
    view.setflags(write=False)
    assert_same(many.detect(view[:2], scales[:2]), many.detect(images[:2], scales[:2]))


class GivenRows:
    """A session that gives the rows it was made with, whatever it sees; of a GPU, so that it gets whole batches."""

    device = DeviceInfo("none", "none", "none", is_gpu=True)
    inputs = (Port("input", (None, 3, 64, 64), True),)
    outputs = (Port("dets", (None, None, 5), True), Port("keypoints", (None, None, 17, 3), True))

    def __init__(self, dets: list[list[list[float]]]) -> None:
        self.dets = np.array(dets, np.float32)
        middles = (self.dets[:, :, None, :2] + self.dets[:, :, None, 2:4]) / 2
        xy = np.repeat(middles, 17, axis=2)
        self.keypoints = np.concatenate([xy, np.full_like(xy[..., :1], 0.5)], axis=3)
        self.opened = False

    def run(self, batch: np.ndarray, _: object) -> tuple[np.ndarray, ...]:  # noqa: ARG002
        if not self.opened:  # the contract's check, with one grey picture
            self.opened = True
            return np.zeros((1, 1, 5), np.float32), np.zeros((1, 1, 17, 3), np.float32)
        return self.dets, self.keypoints


LEFT, RIGHT, LOW = [0, 0, 50, 100, 0.9], [100, 0, 150, 100, 0.95], [200, 0, 250, 100, 0.1]
SPEC = ModelSpec("rows", NetworkSpec("rtmo", "0" * 64, 64, 64), 0.7, 0.45, "", "")


def model_of(session: GivenRows) -> OneStage:
    return OneStage(Network(session, SPEC.pose, Path("rows.onnx")), SPEC)


def detect_rows(dets: list[list[list[float]]], scale: float = 1.0) -> list[FramePoses]:
    images = np.zeros((len(dets), 64, 64, 3), np.uint8)
    return model_of(GivenRows(dets)).detect(images, [scale] * len(dets))


def test_a_cpu_gets_one_frame_at_a_time():
    class Cpu(GivenRows):
        device = DeviceInfo("none", "none", "none")

    poses = model_of(Cpu([[LEFT, RIGHT]])).detect(np.zeros((3, 64, 64, 3), np.uint8), [1.0] * 3)
    assert [len(each) for each in poses] == [2, 2, 2]


def test_threads_do_not_write_into_each_others_input():
    met = threading.Barrier(2, timeout=10)
    seen: set[float] = set()

    class Meeting(GivenRows):
        def run(self, batch: np.ndarray, outputs: object) -> tuple[np.ndarray, ...]:
            if self.opened:
                met.wait()  # now both threads have filled their input
                seen.add(float(batch.mean()))
            return super().run(batch, outputs)

    model = model_of(Meeting([[LEFT]]))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda value: model.detect(np.full((1, 64, 64, 3), value, np.uint8), [1.0]), (10, 20)))
    assert seen == {10.0, 20.0}


def test_rows_that_pad_a_batch_are_nobody():
    """RTMO's graph pads with row 0 of the frame and its real score, or with whatever prior comes last."""
    [alone] = detect_rows([[LEFT, LOW]])
    padded, other = detect_rows([[LEFT, LOW, LEFT, LEFT], [RIGHT, LEFT, LOW, RIGHT]])
    assert_same([alone], [padded])
    assert len(other) == 2


def test_best_score_is_first_and_ties_keep_their_order():
    tied = [[x, 0, x + 50, 100, 0.8] for x in (300, 400, 500)]
    [poses] = detect_rows([[[*LEFT[:4], 0.75], *tied, RIGHT]])
    assert poses.scores.tolist() == pytest.approx([0.95, 0.8, 0.8, 0.8, 0.75])
    assert poses.boxes_xyxy[1:4, 0].tolist() == [300, 400, 500]


def test_poses_are_in_the_frames_pixels_and_the_outputs_are_left_alone():
    session = GivenRows([[LEFT, RIGHT]])
    before = session.dets.copy(), session.keypoints.copy()
    model = model_of(session)
    images = np.zeros((1, 64, 64, 3), np.uint8)
    first, second = model.detect(images, [0.25]), model.detect(images, np.array([0.25]))
    assert first[0].boxes_xyxy.tolist() == [[400, 0, 600, 400], [0, 0, 200, 400]]
    assert first[0].keypoints[1, 0].tolist() == [100, 200, 0.5]
    assert_same(first, second)
    np.testing.assert_array_equal(session.dets, before[0])
    np.testing.assert_array_equal(session.keypoints, before[1])


def test_no_rows_at_all_is_nobody():
    session = GivenRows([[LEFT]])
    session.dets, session.keypoints = session.dets[:, :0], session.keypoints[:, :0]
    [poses] = model_of(session).detect(np.zeros((1, 64, 64, 3), np.uint8), [1.0])
    assert len(poses) == 0


def test_a_network_that_breaks_its_contract_is_refused():
    with pytest.raises(InvalidOutput, match="not numbers"):
        detect_rows([[[0, 0, 1, 1, float("nan")]]])
    session = GivenRows([[LEFT], [LEFT]])
    with pytest.raises(InvalidWeights, match="for 1 images of 64 x 64"):
        model_of(session).detect(np.zeros((1, 64, 64, 3), np.uint8), [1.0])


@pytest.mark.parametrize(
    ("images", "scales"),
    [
        (np.zeros((1, 64, 64, 3), np.float32), [1.0]),
        (np.zeros((1, 64, 32, 3), np.uint8), [1.0]),
        (np.zeros((64, 64, 3), np.uint8), [1.0]),
        (np.zeros((1, 64, 64, 3), np.uint8), [1.0, 1.0]),
        (np.zeros((1, 64, 64, 3), np.uint8), [0.0]),
    ],
)
def test_arguments_that_do_not_fit_are_refused(images, scales):
    with pytest.raises(ValueError, match="images"):
        model_of(GivenRows([[LEFT]])).detect(images, scales)
