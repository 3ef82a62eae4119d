"""Skeletons on pictures, whatever a model gave."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.poses import FramePoses
from pipeline.db.frames import FrameRow
from pipeline.services.preview.people import draw_people


def row(x: float) -> FrameRow:
    keypoints = np.array([[[10, 10, 1], [x, 20, 1], [30, 30, 1]]], np.float32)
    return FrameRow(0, 0, FramePoses(np.ones(1), np.zeros((1, 4)), keypoints))


@pytest.mark.parametrize("x", [5e30, -5e30, 1e9])
def test_a_keypoint_out_of_this_world_is_left_out(x: float) -> None:
    without = np.zeros((64, 64, 3), np.uint8)
    draw_people(without, row(x), [[0, 1], [1, 2], [0, 2]])
    assert without.any()
    near = np.zeros((64, 64, 3), np.uint8)
    draw_people(near, row(20), [[0, 1], [1, 2], [0, 2]])
    assert (near != without).any()
