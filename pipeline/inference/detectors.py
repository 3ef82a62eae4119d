"""Boxes around people, or hands: YOLOX and RTMDet as OpenMMLab exports them, with the NMS inside or without.

Decoded as rtmlib 0.0.16 does (`YOLOX.postprocess`, `RTMDet.postprocess`), except for its errors: the threshold is the
model's, where rtmlib takes 0.3 whatever it was given once the NMS is inside, and of several classes only the first is
a person, where rtmlib's `human` mode takes dogs and bicycles too.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from rtmlib.tools.object_detection.post_processings import multiclass_nms

from pipeline.core.letterbox import PAD, Image, letterbox, scale_to
from pipeline.errors import InvalidOutput
from pipeline.inference.contracts import YOLOX_STRIDES, Network
from pipeline.inference.engines.sessions import Float32s
from pipeline.inference.preprocessing import NO_NORMALISATION, InputBuffer, Normalisation

#: `RTMDet.__init__` of rtmlib 0.0.16: ImageNet's, in the order of BGR.
_RTMDET = Normalisation(mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))
Places = npt.NDArray[np.intp]

_PERSON = 0


class Detector:
    """A network that finds people. Safe to share between threads."""

    def __init__(self, network: Network, score_threshold: float, nms_threshold: float) -> None:
        self.network = network
        self._score_threshold = score_threshold
        self._nms_threshold = nms_threshold
        self._input = InputBuffer(_RTMDET if network.spec.decoder == "rtmdet" else NO_NORMALISATION)

    def find(self, image: Image) -> tuple[Float32s, Float32s]:
        """Boxes float32 `[n, 4]` in pixels of the image, and scores float32 `[n]`, best first.

        Args:
            image: uint8 `[h, w, 3]` BGR.

        Raises:
            InvalidOutput: boxes or scores are not numbers.
        """
        square, scale = _to_square(image, self.network.spec.width_px)
        outputs = self.network.run(self._input.fill([square]))
        if outputs[0].shape[2] == 5:
            boxes, scores = outputs[0][0, :, :4] / np.float32(scale), outputs[0][0, :, 4]
            good = scores > self._score_threshold
            if self.network.has_nms:
                good &= outputs[1][0] == _PERSON
            keep = np.flatnonzero(good)
        else:
            rows = outputs[0][0]
            likely = np.flatnonzero(rows[:, 4] * rows[:, 5 + _PERSON] > self._score_threshold)
            boxes, scores = _rows_to_boxes(rows[likely], likely, self.network.spec.width_px)
            boxes /= np.float32(scale)
            if not np.isfinite(boxes).all():
                raise InvalidOutput("the detector gave boxes that are not numbers; try another model")
            _, found = multiclass_nms(
                boxes, scores[:, np.newaxis], nms_thr=self._nms_threshold, score_thr=self._score_threshold
            )
            keep = np.empty(0, np.intp) if found is None else found
        keep = keep[np.lexsort((keep, -scores[keep]))]
        return boxes[keep], scores[keep]


def _rows_to_boxes(rows: Float32s, cells: Places, side_px: int) -> tuple[Float32s, Float32s]:
    """Rows `[n, 5 + classes]` of a YOLOX without NMS to boxes in input pixels and scores of being a person.

    Args:
        cells: of each row.
    """
    grid, strides = _cells(side_px)
    with np.errstate(over="ignore"):  # a size beyond all numbers is looked for by the caller
        centres = (rows[:, :2] + grid[cells]) * strides[cells]
        halves = np.exp(rows[:, 2:4]) * strides[cells] / 2
    return np.concatenate((centres - halves, centres + halves), axis=1), rows[:, 4] * rows[:, 5 + _PERSON]


@cache
def _cells(side_px: int) -> tuple[Float32s, Float32s]:
    """Corner `[cells, 2]`, in strides, and stride `[cells, 1]`, in pixels, of each row."""
    grids, strides = [], []
    for stride in YOLOX_STRIDES:
        count = side_px // stride
        across, down = np.meshgrid(np.arange(count), np.arange(count))
        grids.append(np.stack((across, down), axis=2).reshape(-1, 2))
        strides.append(np.full((count * count, 1), stride))
    return np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _to_square(image: Image, side_px: int) -> tuple[Image, float]:
    """Letterbox an image; one that is too narrow to leave a pixel becomes a grey square."""
    try:
        return letterbox(image, side_px)
    except ValueError:
        return np.full((side_px, side_px, 3), PAD, np.uint8), scale_to(side_px, *image.shape[:2])
