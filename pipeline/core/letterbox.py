"""A picture scaled into a square model input, bit for bit as rtmlib 0.0.16's `RTMO.preprocess` does it.

The picture sits top left, the rest is grey 114, sizes are cut with `int()` and the filter is `cv2.INTER_LINEAR`:
published RTMO accuracy is for exactly these pixels. No mean or standard deviation; RTMO has none.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

PAD = 114

Image = npt.NDArray[np.uint8]


def scale_to(side: int, height: int, width: int) -> float:
    """By which a picture of that height and width is scaled: divide model coordinates by it."""
    return min(side / height, side / width)


def letterbox(image_bgr: Image, side: int, out: Image | None = None) -> tuple[Image, float]:
    """Scale a picture into a `side` x `side` square.

    Args:
        image_bgr: uint8 `(h, w, 3)`.
        side: of the square, in pixels.
        out: uint8 `(side, side, 3)` to write into; a new array where it is None.

    Returns:
        The square and the scale: divide model coordinates by it to get picture coordinates.

    Raises:
        ValueError: the picture is so narrow that nothing of it would be left.
    """
    if out is None:
        out = np.empty((side, side, 3), dtype=np.uint8)
    height, width = image_bgr.shape[:2]
    scale = scale_to(side, height, width)
    if (height, width) == (side, side):
        out[:] = image_bgr
        return out, scale
    inner_h, inner_w = int(height * scale), int(width * scale)
    if not inner_h or not inner_w:
        raise ValueError(f"a picture of {width} x {height} is too narrow for {side} pixels")
    inner = out[:inner_h, :inner_w]
    resized = cv2.resize(image_bgr, (inner_w, inner_h), dst=inner, interpolation=cv2.INTER_LINEAR)
    if not np.shares_memory(resized, inner):  # cv2 may decline a dst that it cannot use
        inner[:] = resized
    out[inner_h:] = PAD
    out[:inner_h, inner_w:] = PAD
    return out, scale
