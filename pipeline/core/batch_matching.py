"""Match the people of two analyses in many frames at once, as `oks.compare_poses` does in one.

Frames with the same numbers of people are matched together, so that a pass costs array operations of a batch and not of
each frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.core.oks import SAME_PERSON_OKS, SURE_CONFIDENCE
from pipeline.core.poses import FramePoses

Float64s = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]

#: COCO's loosest IoU (`cocoeval.py`, `iouThrs`), as for OKS.
SAME_PERSON_IOU = SAME_PERSON_OKS


@dataclass(frozen=True, eq=False)
class People:
    """The people of several frames that all have as many.

    Args:
        boxes: `(frames, people, 4)`, x1, y1, x2, y2.
        x, y, confidence: `(frames, people, k)`, of the keypoints that are compared.
    """

    boxes: Float64s
    x: Float64s
    y: Float64s
    confidence: Float64s

    @classmethod
    def of(cls, frames: Sequence[FramePoses], points: Ints) -> People:
        """The people of frames; what is no number is a keypoint of no confidence.

        Args:
            points: `(k,)`, the indices of the keypoints that are compared.
        """
        boxes = np.stack([each.boxes_xyxy for each in frames]).astype(np.float64)
        keypoints = np.stack([each.keypoints for each in frames]).astype(np.float64)
        keypoints = keypoints[:, :, points] if keypoints.shape[2] else np.zeros((*keypoints.shape[:2], len(points), 3))
        unknown = ~np.isfinite(keypoints).all(axis=3)
        keypoints[unknown] = 0.0
        x, y, confidence = (np.ascontiguousarray(keypoints[..., part]) for part in range(3))
        return cls(np.nan_to_num(boxes, posinf=0.0, neginf=0.0), x, y, confidence)

    @property
    def areas_px2(self) -> Float64s:
        """Of their boxes, `(frames, people)`."""
        sides = np.clip(self.boxes[..., 2:] - self.boxes[..., :2], 0, None)
        areas: Float64s = sides[..., 0] * sides[..., 1]
        return areas


@dataclass(frozen=True, eq=False)
class Matches:
    """The people who are in both, `(n,)` each: in which frame of the batch, as which person, and how similar."""

    frame: Ints
    before: Ints
    after: Ints
    similarity: Float64s


def oks_of_pairs(before: People, after: People, sigmas: Float64s) -> Float64s:
    """OKS of every pair, `(frames, after, before)`, as `oks.compare_poses` has it with `before` as what was wanted."""
    sure = before.confidence >= SURE_CONFIDENCE
    sure |= ~sure.any(axis=2, keepdims=True)
    squares = (after.x[:, :, None] - before.x[:, None]) ** 2
    squares += (after.y[:, :, None] - before.y[:, None]) ** 2
    areas = before.areas_px2[:, None, :, None] + np.spacing(1)
    squares /= areas
    squares *= -1 / ((2 * sigmas) ** 2 * 2)
    similar = np.exp(squares, out=squares)
    weights = sure.astype(np.float64)
    summed: Float64s = np.einsum("fabk,fbk->fab", similar, weights)
    mean: Float64s = np.minimum(summed / weights.sum(axis=2)[:, None], 1.0)
    return mean


def iou_of_pairs(before: People, after: People) -> Float64s:
    """IoU of the boxes of every pair, `(frames, after, before)`."""
    a, b = after.boxes[:, :, None], before.boxes[:, None]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = sides[..., 0] * sides[..., 1]
    joined = after.areas_px2[:, :, None] + before.areas_px2[:, None] - shared
    similar: Float64s = shared / np.maximum(joined, np.spacing(1))
    return similar


def match_greedily(similarities: Float64s, least: float) -> Matches:
    """Match people, in each frame the most similar pair first, each once, down to `least`.

    Args:
        similarities: `(frames, after, before)`; it is used up.
    """
    frames, after, before = similarities.shape
    found: list[tuple[Ints, Ints, Ints, Float64s]] = []
    every = np.arange(frames)
    for _ in range(min(after, before)):
        best = similarities.reshape(frames, -1).argmax(axis=1)
        rows, columns = np.divmod(best, before)
        similarity = similarities[every, rows, columns]
        hits = np.flatnonzero(similarity >= least)
        if not len(hits):
            break
        rows, columns = rows[hits], columns[hits]
        found.append((hits, columns, rows, similarity[hits]))
        similarities[hits, rows] = -1
        similarities[hits, :, columns] = -1
    if not found:
        none = np.zeros(0, np.intp)
        return Matches(none, none, none, np.zeros(0))
    at, columns, rows, similarity = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Matches(at, columns, rows, similarity)
