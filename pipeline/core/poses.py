"""The people in one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float32s = npt.NDArray[np.float32]


def _frozen(values: Any, shape: tuple[int | None, ...], name: str) -> Float32s:
    array = np.array(values, dtype=np.float32)
    if array.ndim != len(shape) or any(
        want is not None and got != want for got, want in zip(array.shape, shape, strict=True)
    ):
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class FramePoses:
    """The people in one frame, best score first. A frame without people has length zero.

    Args:
        scores: float32 `(people,)`, the detector's score of the person, 0..1.
        boxes_xyxy: float32 `(people, 4)`, pixels of the frame as displayed.
        keypoints: float32 `(people, k, 3)`, x, y in pixels of the frame as displayed, and confidence 0..1.

    Raises:
        ValueError: the shapes do not fit each other.
    """

    scores: Float32s
    boxes_xyxy: Float32s
    keypoints: Float32s

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", _frozen(self.scores, (None,), "scores"))
        people = len(self.scores)
        object.__setattr__(self, "boxes_xyxy", _frozen(self.boxes_xyxy, (people, 4), "boxes_xyxy"))
        object.__setattr__(self, "keypoints", _frozen(self.keypoints, (people, None, 3), "keypoints"))

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> FramePoses:
        """A frame without people."""
        zero = np.float32(0)
        return cls(np.full(0, zero), np.full((0, 4), zero), np.full((0, 0, 3), zero))
