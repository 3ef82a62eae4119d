"""The poses of some seconds of a run, packed for a browser: 60 bytes a pose with gzip, where JSON takes 1,000.

Coordinates are whole numbers of 1/8 px, confidences of 1/255. Poses are sorted by their rank within the frame and then
by frame, so that neighbours are mostly the same person, and each column holds the differences between neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.packed import Uint16s, pack, split_bytes, zigzag_differences
from pipeline.core.poses import FramePoses

MAGIC = b"PLPS"
#: What a frame's byte says; a reason's is `MISSING` plus its place in the header's list.
DONE, TO_COME, MISSING = 0, 1, 2
_REASONS = 254
_UNITS_A_PX = 8


@dataclass(frozen=True)
class SegmentFrame:
    """One frame: its poses; or why it has none, `missing`; or neither where it is still to come."""

    poses: FramePoses | None
    missing: str | None = None


def units_a_px(size: tuple[int, int]) -> int:
    """How fine coordinates are. Pictures over 3,840 px are told less finely, so that all of them fits into 16 bits."""
    units = _UNITS_A_PX
    while units > 1 and max(size) * units > 30_720:
        units //= 2
    return units


def encode_segment(frames: Sequence[SegmentFrame], size: tuple[int, int], header: Mapping[str, Any]) -> bytes:
    """The segment as `PLPS`.

    The columns, for `frames` frames, `poses` poses and `keypoints` keypoints: the frames' bytes, uint8; their people,
    uint16; scores, uint8; boxes, 4 columns; x, then y of each keypoint; confidences, uint8. Coordinates are zigzag
    differences, all their low bytes before all their high ones; confidences are differences modulo 256.

    Args:
        size: width and height of the picture, in pixels as displayed.

    Raises:
        ValueError: the people have different numbers of keypoints.
    """
    reasons: list[str] = []
    states = np.array([_state(each, reasons) for each in frames], np.uint8)
    people = np.array([len(each.poses) if each.poses else 0 for each in frames], "<u2")
    some = [each.poses for each in frames if each.poses]
    counts = {poses.keypoints.shape[1] for poses in some}
    if len(counts) > 1:
        raise ValueError(f"people of one run have {sorted(counts)} keypoints")
    keypoints = counts.pop() if counts else 0
    units = units_a_px(size)
    told = {
        "version": 1,
        "frames": len(frames),
        "poses": int(people.sum()),
        "keypoints": keypoints,
        "units_a_px": units,
        "reasons": reasons,
    }
    columns = [states, people, *(_columns(some, people, units) if some else ())]
    return pack(MAGIC, {**header, **told}, columns)


def _state(frame: SegmentFrame, reasons: list[str]) -> int:
    if frame.missing is None:
        return TO_COME if frame.poses is None else DONE
    if frame.missing not in reasons and len(reasons) < _REASONS:
        reasons.append(frame.missing)
    return MISSING + (reasons.index(frame.missing) if frame.missing in reasons else _REASONS - 1)


def _columns(some: Sequence[FramePoses], people: Uint16s, units: int) -> list[npt.NDArray[Any]]:
    ranks = np.concatenate([np.arange(count) for count in people])
    order = np.argsort(ranks, kind="stable")
    scores = np.concatenate([poses.scores for poses in some])[order]
    boxes = np.concatenate([poses.boxes_xyxy for poses in some])[order]
    keypoints = np.concatenate([poses.keypoints for poses in some])[order]
    confidences = np.diff(_bytes(keypoints[..., 2]).T, axis=-1, prepend=np.uint8(0))
    return [
        _bytes(scores),
        *split_bytes(zigzag_differences(_whole(boxes.T, units))),
        *split_bytes(zigzag_differences(_whole(keypoints[..., :2].transpose(2, 1, 0), units))),
        confidences,
    ]


def _whole(px: npt.NDArray[np.float32], units: int) -> npt.NDArray[np.int16]:
    """In whole units; what lies beyond 16 bits is at their edge."""
    rounded = np.rint(np.nan_to_num(px, nan=0.0).astype(np.float64) * units)
    return np.ascontiguousarray(np.clip(rounded, -(2**15), 2**15 - 1).astype(np.int16))


def _bytes(share: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.rint(np.clip(np.nan_to_num(share, nan=0.0), 0, 1) * 255).astype(np.uint8)
