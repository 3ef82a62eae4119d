"""What a pose model is: everything that decides which poses come out of which pixels, and its fingerprint.

A run is named by its model's fingerprint, so a field that changes the poses must be in it, and nothing else may be:
a renamed model is the same model. The device and the version of onnxruntime are not in it, because CPU and GPU workers
share one run and must be kept alike in arithmetic instead (`sessions.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ModelUnusable

#: How a frame must reach the network, as rtmlib 0.0.16 does it (`RTMO.preprocess`): scaled by
#: min(side/width, side/height) to int() sizes, bilinear, at the top left of a square of 114; BGR, 0..255, no mean.
#: Change the number when the decoder's scaling changes.
PREPROCESSING = "bgr-0-255 letterbox-top-left-114 bilinear /1"

#: rtmlib's second NMS over the rows, boxes divided by the scale first. Change the number when `rtmo.py` decodes
#: otherwise.
POSTPROCESS_VERSION = "rtmlib-0.0.16-nms /1"

#: The 17 keypoints of COCO, in its order (cocodataset.org/#keypoints-eval, `person_keypoints_val2017.json`).
COCO_KEYPOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)

#: The limbs of the same file, from 0 where COCO counts from 1.
COCO_SKELETON = (
    (15, 13),
    (13, 11),
    (16, 14),
    (14, 12),
    (11, 12),
    (5, 11),
    (6, 12),
    (5, 6),
    (5, 7),
    (6, 8),
    (7, 9),
    (8, 10),
    (1, 2),
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (3, 5),
    (4, 6),
)

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_NOT_IN_FINGERPRINT = frozenset({"name", "skeleton", "licence", "source"})


@dataclass(frozen=True)
class ModelSpec:
    """One pose model.

    Args:
        name: what people call it.
        weights_sha256: SHA-256 of the ONNX file, 64 lower-case hex digits.
        input_side_px: the side of the square that the network takes.
        score_threshold: a person counts above this score, 0..1.
        nms_threshold: of two boxes with more than this IoU, 0..1, the worse goes.
        licence: of the weights, an SPDX name.
        source: who made the weights and where they are from, for people.
        architecture: which decoder reads the outputs.
        keypoint_names: in the order of the outputs.
        skeleton: pairs of keypoint indices that are joined by a limb.

    Raises:
        ValueError: a field is out of its range.
    """

    name: str
    weights_sha256: str
    input_side_px: int
    score_threshold: float
    nms_threshold: float
    licence: str
    source: str
    architecture: str = "rtmo"
    keypoint_names: tuple[str, ...] = COCO_KEYPOINTS
    skeleton: tuple[tuple[int, int], ...] = COCO_SKELETON
    preprocessing: str = PREPROCESSING
    postprocess_version: str = POSTPROCESS_VERSION

    def __post_init__(self) -> None:
        if not _SHA256_HEX.fullmatch(self.weights_sha256):
            raise ValueError(f"weights_sha256 must be 64 lower-case hex digits, got {self.weights_sha256!r}")
        if self.input_side_px < 1:
            raise ValueError(f"input_side_px must be positive, got {self.input_side_px}")
        for name in ("score_threshold", "nms_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, got {getattr(self, name)}")
        count = len(self.keypoint_names)
        if not count or len(set(self.keypoint_names)) != count:
            raise ValueError("keypoint_names must be there, each once")
        if any(not 0 <= end < count for pair in self.skeleton for end in pair):
            raise ValueError(f"skeleton must join keypoints 0..{count - 1}")

    @property
    def fingerprint(self) -> str:
        """SHA-256, as hex, over everything that changes the poses, written as canonical JSON."""
        facts = {key: value for key, value in dataclasses.asdict(self).items() if key not in _NOT_IN_FINGERPRINT}
        return hashlib.sha256(_canonical(facts).encode()).hexdigest()

    def to_json(self) -> str:
        """All fields as one line of canonical JSON: sorted keys, no spaces."""
        return _canonical(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """The model that `to_json` wrote.

        Raises:
            ModelUnusable: the text is something else, or was written by a version that knows other fields.
        """
        try:
            facts = json.loads(text)
            facts["keypoint_names"] = tuple(facts["keypoint_names"])
            facts["skeleton"] = tuple((int(a), int(b)) for a, b in facts["skeleton"])
            return cls(**facts)
        except (ValueError, TypeError, KeyError) as error:
            raise ModelUnusable(
                f"the description of this model cannot be read ({error}); was it written by another Poseline version?"
            ) from error


def _canonical(facts: dict[str, Any]) -> str:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
