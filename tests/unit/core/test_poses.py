"""A frame's poses are checked when made and cannot be changed after."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.poses import FramePoses


def test_nobody_is_length_zero() -> None:
    empty = FramePoses.empty()
    assert len(empty) == 0
    assert empty.keypoints.shape == (0, 0, 3)


@pytest.mark.parametrize(
    ("scores", "boxes", "keypoints"),
    [
        ((2,), (1, 4), (2, 17, 3)),  # a box too few
        ((2,), (2, 4), (2, 17, 2)),  # no confidence
        ((2, 1), (2, 4), (2, 17, 3)),  # scores in two dimensions
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    scores: tuple[int, ...], boxes: tuple[int, ...], keypoints: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="must have shape"):
        FramePoses(np.zeros(scores, np.float32), np.zeros(boxes, np.float32), np.zeros(keypoints, np.float32))


def test_it_keeps_its_own_read_only_copy() -> None:
    scores = np.ones(1, np.float32)
    poses = FramePoses(scores, np.zeros((1, 4), np.float32), np.zeros((1, 17, 3), np.float32))
    scores[0] = 0
    assert poses.scores[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        poses.scores[0] = 0
