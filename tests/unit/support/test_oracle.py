"""The oracle tells what is painted, and notices a picture that is not as it should be."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.letterbox import letterbox
from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.inference.engines.placement import Placement
from pipeline.inference.pose_model import PoseModel, build_model
from tests.support.oracle_maker import SCORE, make_oracle, read_pose
from tests.support.video_maker import paint

SIDE = 416


@pytest.fixture(scope="module")
def oracle(tmp_path_factory) -> PoseModel:
    path = make_oracle(tmp_path_factory.mktemp("oracle") / "oracle.onnx")
    spec = ModelSpec("oracle", NetworkSpec("rtmo", "0" * 64, SIDE, SIDE), 0.7, 0.45, "none", "none")
    return build_model(spec, lambda _: path, Placement("cpu"))


@pytest.mark.parametrize(("width", "height"), [(160, 96), (96, 160), (320, 192), (1080, 1800)])
def test_every_number_is_told(oracle: PoseModel, width: int, height: int) -> None:
    for number in (0, 1, 59, 0x5A5A, 65535):
        square, scale = letterbox(paint(number, width, height), SIDE)
        (people,) = oracle.detect(square[None], [scale])
        assert people.scores.tolist() == [pytest.approx(SCORE)]
        np.testing.assert_allclose(people.boxes_xyxy, [[0, 0, width, height]], atol=width / 100)
        assert read_pose(people.keypoints[0], width, height) == number


def test_a_picture_of_another_scale_is_noticed(oracle: PoseModel) -> None:
    square, scale = letterbox(paint(5, 160, 96), SIDE)
    (people,) = oracle.detect(square[None], [scale * 1.1])
    with pytest.raises(ValueError, match="corner"):
        read_pose(people.keypoints[0], 160, 96)


def test_a_mirrored_picture_tells_another_number(oracle: PoseModel) -> None:
    square, scale = letterbox(np.ascontiguousarray(paint(5, 160, 96)[:, ::-1]), SIDE)
    (people,) = oracle.detect(square[None], [scale])
    assert read_pose(people.keypoints[0], 160, 96) != 5
