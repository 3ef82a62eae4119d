"""Convert images to network input: float32 planes, normalised, in a buffer that each thread reuses."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.inference.engines.sessions import Float32s

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Normalisation:
    """What is done to each channel: `(value - mean) / std`, in the order in which the network takes them.

    Args:
        is_rgb: whether the network takes red first; images come with blue first.
    """

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    is_rgb: bool = False


NO_NORMALISATION = Normalisation()


class InputBuffer:
    """Batches for one network. Safe to share between threads: each has a buffer of its own."""

    def __init__(self, normalisation: Normalisation = NO_NORMALISATION) -> None:
        self._normalisation = normalisation
        self._mean = np.array(normalisation.mean, np.float32)[:, np.newaxis, np.newaxis]
        self._std = np.array(normalisation.std, np.float32)[:, np.newaxis, np.newaxis]
        self._buffers = threading.local()

    def fill(self, images: Sequence[Image]) -> Float32s:
        """This thread's buffer, float32 `[n, 3, H, W]`, valid until its next call.

        Args:
            images: uint8 `[H, W, 3]` BGR, all of one size.
        """
        height, width = images[0].shape[:2]
        buffer: Float32s | None = getattr(self._buffers, "batch", None)
        if buffer is None or len(buffer) < len(images) or buffer.shape[2:] != (height, width):
            buffer = np.empty((len(images), 3, height, width), np.float32)
            self._buffers.batch = buffer
        for at, image in enumerate(images):
            planes = buffer[at]
            # Three times as fast as NumPy's transposed copy: 0.09 ms against 0.28 ms at 384, 0.22 against 0.58 at 640.
            channels = cv2.split(image)
            for plane, channel in zip(planes, channels[::-1] if self._normalisation.is_rgb else channels, strict=True):
                np.copyto(plane, channel)
            if self._normalisation != NO_NORMALISATION:
                planes -= self._mean
                planes /= self._std
        return buffer[: len(images)]


def check_images(images: Sequence[Image], scales: Sequence[float], side_px: int | None) -> None:
    """Hold a caller to what a model takes.

    Raises:
        ValueError: the images are not uint8 BGR, not squares of `side_px` where it is given, or have no scales.
    """
    for image in images:
        fits = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        if not fits or (side_px is not None and image.shape[:2] != (side_px, side_px)):
            size = "h, w" if side_px is None else f"{side_px}, {side_px}"
            raise ValueError(f"images must be uint8 [{size}, 3], got {image.dtype} {list(image.shape)}")
    if len(scales) != len(images) or not all(scale > 0 for scale in scales):
        raise ValueError(f"{len(images)} images need as many scales above zero, got {list(scales)}")
