"""Contract twins in a folder of models under the names of published ones, and pictures with people for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from pipeline.core.poses import FramePoses
from pipeline.inference.catalogue import Entry, Weights, find_entry
from pipeline.inference.contracts import Network
from pipeline.inference.detectors import Detector
from pipeline.inference.engines.placement import Placement
from pipeline.inference.engines.sessions import Float32s, Session
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.rtmo import OneStage
from pipeline.inference.topdown import TwoStage
from pipeline.inference.weights.checksums import read_checksums, sha256_of, write_checksums
from pipeline.inference.zoo import find_model, load_model
from tests.support.twin_maker import Body, Image, Mark, expected, expected_body, paint, paint_bodies, scale_of
from tests.support.twin_rtmo import make_rtmo_twin
from tests.support.twin_simcc import make_simcc_twin
from tests.support.twin_yolox import make_rtmdet_twin, make_yolox_twin

#: How far a decoder may be from what was painted.
NEAR_PX, NEAR_SCORE = 0.5, 0.01

#: Cells (column, row), each with room for a person of 96 x 144 pixels of the square and for the crop around it.
SPOTS = {
    320: ((2, 2), (7, 2), (4, 7)),
    416: ((1, 2), (6, 2), (10, 4), (3, 7)),
    640: ((2, 3), (8, 3), (14, 4), (4, 10), (11, 10), (16, 11)),
}


def make_twin(path: Path, weights: Weights, keypoints: int) -> Path:
    """A twin with the sizes of a published network."""
    match weights.decoder:
        case "rtmo":
            return make_rtmo_twin(path, side_px=weights.width_px, keypoints=keypoints)
        case "yolox":
            return make_yolox_twin(path, side_px=weights.width_px, nms_inside=True)
        case "rtmdet":
            return make_rtmdet_twin(path, side_px=weights.width_px)
        case "simcc":
            return make_simcc_twin(path, width_px=weights.width_px, height_px=weights.height_px, keypoints=keypoints)


def put_twins(models_path: Path, entry: Entry, **instead: Path) -> None:
    """An entry's weights: twins, or what is given for `detector` or `pose`."""
    models_path.mkdir(parents=True, exist_ok=True)
    checksums = read_checksums(models_path)
    for weights in entry.weights:
        given = instead.get("pose" if weights is entry.pose else "detector")
        file = weights.file_in(models_path)
        if given is not None:
            file.write_bytes(given.read_bytes())
        else:
            make_twin(file, weights, len(entry.keypoints.names))
        checksums[weights.name] = sha256_of(file)
    write_checksums(models_path, checksums)


def load_twins(models_path: Path, name: str, **instead: Path) -> PoseModel:
    """The model of that name, made of twins."""
    put_twins(models_path, find_entry(name), **instead)
    return load_model(find_model(name, models_path), Placement("cpu"))


@dataclass(frozen=True)
class Scene:
    """A picture, and who is to be found in it, best first; boxes and keypoints in its pixels."""

    picture: Image
    scores: Float32s
    boxes_xyxy: Float32s
    keypoints: Float32s


def one_stage_scene(marks: Sequence[Mark], width: int, height: int, side_px: int, keypoints: int = 17) -> Scene:
    """People for RTMO."""
    wanted = expected(marks, width, height, side_px, keypoints=keypoints, above=0.7)
    return Scene(paint(marks, width, height, side_px), *wanted)


def two_stage_scene(marks: Sequence[Mark], width: int, height: int, side_px: int, keypoints: int = 17) -> Scene:
    """People for a detector, with a body in each one's box; no two bodies and no two scores alike."""
    scale = scale_of(width, height, side_px)
    looks = [(220, 180, 127), (150, 240, 90), (240, 120, 50), (200, 200, 110), (170, 230, 60), (235, 160, 127)]
    bodies = [
        Body(tuple(map(float, mark.box(scale))), *looks[i % len(looks)], (0.4 + 0.04 * i, 0.2), (0.65 - 0.05 * i, 0.8))
        for i, mark in enumerate(marks)
    ]
    picture = paint(marks, width, height, side_px, onto=paint_bodies(bodies, width, height))
    scores, boxes, _ = expected(marks, width, height, side_px, above=0.3)
    people = sorted((i for i, m in enumerate(marks) if m.person and m.red / 255 > 0.3), key=lambda i: -marks[i].red)
    poses = [expected_body(bodies[i], keypoints) for i in people]
    return Scene(picture, scores, boxes, np.array(poses, np.float32).reshape(-1, keypoints, 3))


def people_at(side_px: int, count: int) -> list[Mark]:
    """Marks as large as a body needs to be read, the best one neither first nor last."""
    reds = (184, 190, 187, 181, 188, 182)
    greens = (160, 120, 150, 160, 130, 140)
    return [Mark(*spot, reds[i], greens[i]) for i, spot in enumerate(SPOTS[side_px][:count])]


def letterbox(picture: Image, side_px: int) -> tuple[Image, float]:
    """What the decoder child hands over for a model of one stage."""
    height, width = picture.shape[:2]
    scale = scale_of(width, height, side_px)
    square = np.full((side_px, side_px, 3), 114, np.uint8)
    inner = cv2.resize(picture, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_LINEAR)
    square[: inner.shape[0], : inner.shape[1]] = inner
    return square, scale


def detect(model: PoseModel, picture: Image) -> FramePoses:
    """One picture, as the service brings it to a model."""
    image, scale = letterbox(picture, model.spec.side_px) if model.spec.side_px else (picture, 1.0)
    [poses] = model.detect([image], [scale])
    return poses


def assert_found(poses: FramePoses, scene: Scene, scale: float = 1.0) -> None:
    """Everybody, best first, and nobody else.

    Args:
        scale: pixels of the scene's picture per pixel of the poses.
    """
    np.testing.assert_allclose(poses.scores, scene.scores, rtol=0, atol=NEAR_SCORE)
    np.testing.assert_allclose(poses.boxes_xyxy * scale, scene.boxes_xyxy, rtol=0, atol=NEAR_PX)
    if not len(poses):
        assert poses.keypoints.shape == (0, 0, 3)
        return
    assert poses.keypoints.shape == scene.keypoints.shape
    seen = scene.keypoints[:, :, 2] > 0
    off = np.abs(poses.keypoints[:, :, :2] * scale - scene.keypoints[:, :, :2])[seen]
    assert off.max() <= NEAR_PX
    wanted = np.where(seen, scene.keypoints[:, :, 2], 0)
    np.testing.assert_allclose(poses.keypoints[:, :, 2], wanted, rtol=0, atol=NEAR_SCORE)


def assert_same(one: Sequence[FramePoses], other: Sequence[FramePoses]) -> None:
    """To the bit."""
    assert [len(poses) for poses in one] == [len(poses) for poses in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.scores, b.scores)
        np.testing.assert_array_equal(a.boxes_xyxy, b.boxes_xyxy)
        np.testing.assert_array_equal(a.keypoints, b.keypoints)


class OnGpu:
    """A session that says that it is of a GPU, so that it gets whole batches, and counts them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.device = replace(session.device, is_gpu=True)
        self.inputs, self.outputs = session.inputs, session.outputs
        self.batches: list[int] = []

    def run(self, batch: Float32s, outputs: Sequence[str]) -> tuple[Float32s, ...]:
        self.batches.append(len(batch))
        return self._session.run(batch, outputs)


def on_gpu(model: PoseModel) -> tuple[PoseModel, OnGpu]:
    """The same model as if on a GPU, and the session that gives keypoints."""

    def moved(network: Network) -> tuple[Network, OnGpu]:
        session = OnGpu(network.session)
        return Network(session, network.spec, Path("gpu.onnx")), session

    assert isinstance(model, OneStage | TwoStage)
    pose, session = moved(model._network)
    if isinstance(model, OneStage):
        return OneStage(pose, model.spec), session
    detector, _ = moved(model._detector.network)
    found = Detector(detector, model.spec.score_threshold, model.spec.nms_threshold)
    return TwoStage(found, pose, model.spec), session
