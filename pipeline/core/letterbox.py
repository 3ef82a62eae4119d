"""Letterboxing: scale an image into a square model input, bit for bit as rtmlib 0.0.16's `RTMO.preprocess`.

The image is at the top left, the rest is grey 114, sizes are truncated with `int()` and the filter is
`cv2.INTER_LINEAR`: published RTMO accuracy is for exactly these pixels. RTMO has no mean or standard deviation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PAD = 114

Image = npt.NDArray[np.uint8]


def scale_to(side: int, height: int, width: int) -> float:
    """The letterbox scale of an image: model coordinates divided by it are image coordinates."""
    return min(side / height, side / width)


def letterbox(image_bgr: Image, side: int, out: Image | None = None) -> tuple[Image, float]:
    """Scale an image into a `side` x `side` square.

    Args:
        image_bgr: uint8 `(h, w, 3)`.
        side: of the square, in pixels.
        out: uint8 `(side, side, 3)` to write into; a new array where it is None.

    Returns:
        The square, and the scale from `scale_to`.

    Raises:
        ValueError: the image is too narrow: its scaled height or width would be 0.
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
        raise ValueError(f"an image of {width} x {height} is too narrow for {side} pixels")
    import cv2  # noqa: PLC0415 - for those who decode; a web process does not, and has 60 MiB less to hold

    inner = out[:inner_h, :inner_w]
    resized = cv2.resize(image_bgr, (inner_w, inner_h), dst=inner, interpolation=cv2.INTER_LINEAR)
    if not np.shares_memory(resized, inner):  # cv2 may decline a dst that it cannot use
        inner[:] = resized
    out[inner_h:] = PAD
    out[:inner_h, inner_w:] = PAD
    return out, scale
