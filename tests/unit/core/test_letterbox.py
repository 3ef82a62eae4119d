"""The letterbox against rtmlib's own, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from rtmlib.tools.pose_estimation.rtmo import RTMO

from pipeline.core.letterbox import PAD, letterbox

SIZES = [
    *((h, w) for h in (1, 97, 384, 640, 641, 1080, 1920) for w in (1, 97, 383, 384, 640, 1088, 1768)),
    (994, 1768),
    (1920, 1088),
    (479, 853),
    (2160, 3840),
]


def rtmlib_preprocess(image, side):
    theirs = object.__new__(RTMO)
    theirs.model_input_size, theirs.mean, theirs.std = (side, side), None, None
    return theirs.preprocess(image)


@pytest.mark.parametrize("side", [384, 416, 640])
def test_equals_rtmlib(side):
    rng = np.random.default_rng(side)
    for height, width in SIZES:
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if min(int(height * min(side / height, side / width)), int(width * min(side / height, side / width))) == 0:
            with pytest.raises(ValueError, match="too narrow"):
                letterbox(image, side)
            continue
        expected, expected_scale = rtmlib_preprocess(image, side)
        dirty = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        for out in (None, dirty):
            square, scale = letterbox(image, side, out=out)
            assert scale == expected_scale
            np.testing.assert_array_equal(square, expected, err_msg=f"{height} x {width}")
            assert out is None or square is out


def test_size_that_equals_the_side_is_a_copy():
    image = np.random.default_rng(0).integers(0, 256, (384, 384, 3), dtype=np.uint8)
    square, scale = letterbox(image, 384)
    assert scale == 1.0
    np.testing.assert_array_equal(square, image)
    assert not np.shares_memory(square, image)


def test_the_rest_is_grey():
    square, _ = letterbox(np.zeros((100, 200, 3), dtype=np.uint8), 100)
    assert (square[:50] == 0).all()
    assert (square[50:] == PAD).all()
