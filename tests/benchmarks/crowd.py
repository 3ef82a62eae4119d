"""Images with a given number of people: one person of a clip, cut out and placed side by side on grey."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.bench.figures import BenchFailed
from pipeline.bench.plain_decode import iter_frames_plainly
from pipeline.core.letterbox import PAD, letterbox
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.preprocessing import Image

_EVERY = 6
_MARGIN = 0.15
#: Of the image's side: a person who fills it is cut off by the network's own margins.
_LARGEST = 0.6


@dataclass(frozen=True)
class Crowd:
    """One image.

    Args:
        image: uint8 `[side, side, 3]` BGR.
        boxes_xyxy: float32 `[n, 4]`, where the people are, in pixels.
    """

    image: Image
    boxes_xyxy: npt.NDArray[np.float32]


def cut_out_best(model: PoseModel, clip: Path, frames: int) -> Image:
    """Cut out the person of a clip's first frames with the highest score, with a margin.

    Raises:
        BenchFailed: no person was found.
    """
    side_px = model.spec.side_px
    assert side_px is not None
    best: tuple[float, Image] | None = None
    for frame in islice(iter_frames_plainly(clip), 0, frames, _EVERY):
        image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
        square, scale = letterbox(image, side_px)
        found = model.detect([square], [scale])[0]
        if len(found) and (best is None or found.scores[0] > best[0]):
            best = float(found.scores[0]), _cut(image, found.boxes_xyxy[0])
    if best is None:
        raise BenchFailed(f"{model.spec.name} found no person in the clip")
    return best[1]


def _cut(image: Image, box_xyxy: npt.NDArray[np.float32]) -> Image:
    x1, y1, x2, y2 = (float(side) for side in box_xyxy)
    across, down = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
    height, width = image.shape[:2]
    left, top = max(0, int(x1 - across)), max(0, int(y1 - down))
    return image[top : min(height, int(y2 + down)), left : min(width, int(x2 + across))].copy()


def make_crowd(person: Image, count: int, side_px: int) -> Crowd:
    """Place so many copies of the person, as large as fits."""
    aspect = person.shape[1] / person.shape[0]
    heights = {columns: min(side_px / math.ceil(count / columns), side_px / columns / aspect) for columns in _to(count)}
    columns = max(heights, key=lambda each: heights[each])
    height = int(min(heights[columns], _LARGEST * side_px))
    width = min(int(height * aspect), side_px // columns)
    small = cv2.resize(person, (width, height), interpolation=cv2.INTER_AREA)
    image: Image = np.full((side_px, side_px, 3), PAD, np.uint8)
    boxes = []
    for number in range(count):
        left = number % columns * side_px // columns
        top = number // columns * side_px // math.ceil(count / columns)
        image[top : top + height, left : left + width] = small
        boxes.append((left, top, left + width, top + height))
    return Crowd(image, np.array(boxes, np.float32))


def _to(count: int) -> range:
    return range(1, count + 1)
