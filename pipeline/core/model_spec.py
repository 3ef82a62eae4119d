"""The description of a pose model: all that determines the poses it finds, and its fingerprint.

A run is named by its model's fingerprint, so a field that changes the poses must be in it, and nothing else may be:
a renamed model is the same model. The device and the engine are not in it: CPU and GPU workers share one run, and the
golden check ensures that they find the same poses. Reduced precision is in it, because the user chooses it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pipeline.core.keypoints import COCO_17
from pipeline.core.precision import Precision
from pipeline.errors import InvalidWeights

Decoder = Literal["rtmo", "yolox", "rtmdet", "simcc"]

#: How pixels reach a network and how its numbers become poses, by decoder. Change the number at the end when either
#: changes. Letterboxes are those of rtmlib 0.0.16 (`RTMO.preprocess`): scaled by min(side/width, side/height) to int()
#: sizes, bilinear, at the top left of a square of 114. SimCC's crop is mmpose's, in RGB, where rtmlib 0.0.16 gives BGR.
PREPROCESSING: dict[Decoder, str] = {
    "rtmo": "bgr-0-255 letterbox-top-left-114 bilinear /1",
    "yolox": "bgr-0-255 letterbox-top-left-114 bilinear /1",
    "rtmdet": "bgr-imagenet letterbox-top-left-114 bilinear /1",
    "simcc": "rgb-imagenet crop-1.25-constant-0 bilinear /1",
}
DECODING: dict[Decoder, str] = {
    "rtmo": "rtmlib-0.0.16-nms /1",
    "yolox": "rtmlib-0.0.16-nms /1",
    "rtmdet": "rtmlib-0.0.16-nms /1",
    "simcc": "argmax-split-2 /1",
}

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_NOT_IN_FINGERPRINT = frozenset({"name", "skeleton", "licence", "source"})


@dataclass(frozen=True)
class NetworkSpec:
    """One ONNX file and how to use it.

    Args:
        decoder: how its outputs are decoded.
        weights_sha256: SHA-256 of the file, 64 lower-case hex digits.
        width_px: of its input.
        height_px: likewise.
        preprocessing: how pixels reach it.
        decoding: how its outputs become poses.

    Raises:
        ValueError: a field is out of its range.
    """

    decoder: Decoder
    weights_sha256: str
    width_px: int
    height_px: int
    preprocessing: str = ""
    decoding: str = ""

    def __post_init__(self) -> None:
        if self.decoder not in get_args(Decoder):
            raise ValueError(f"decoder must be one of {', '.join(get_args(Decoder))}, got {self.decoder!r}")
        if not _SHA256_HEX.fullmatch(self.weights_sha256):
            raise ValueError(f"weights_sha256 must be 64 lower-case hex digits, got {self.weights_sha256!r}")
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"the input must be positive, got {self.width_px} x {self.height_px}")
        if self.decoder != "simcc" and self.width_px != self.height_px:
            raise ValueError(f"{self.decoder} takes squares, got {self.width_px} x {self.height_px}")
        object.__setattr__(self, "preprocessing", self.preprocessing or PREPROCESSING[self.decoder])
        object.__setattr__(self, "decoding", self.decoding or DECODING[self.decoder])

    @property
    def is_current(self) -> bool:
        """Whether this version of Poseline preprocesses and decodes it as it says."""
        return (self.preprocessing, self.decoding) == (PREPROCESSING[self.decoder], DECODING[self.decoder])


@dataclass(frozen=True)
class ModelSpec:
    """One pose model: one network that finds all people at once, or a detector and a network for each person.

    Args:
        name: for people, not part of the fingerprint.
        pose: the network that gives keypoints.
        detector: the network that finds people for it; None for one stage.
        score_threshold: people with a score above this, 0..1, are kept.
        nms_threshold: of two boxes with more than this IoU, 0..1, the one with the lower score is dropped.
        licence: of the weights, an SPDX name.
        source: who made the weights and where they are from.
        keypoint_names: in the order of the outputs.
        skeleton: pairs of keypoint indices that are joined by a limb.
        precision: of the arithmetic.

    Raises:
        ValueError: a field is out of its range, or the networks do not make a model.
    """

    name: str
    pose: NetworkSpec
    score_threshold: float
    nms_threshold: float
    licence: str
    source: str
    detector: NetworkSpec | None = None
    keypoint_names: tuple[str, ...] = COCO_17.names
    skeleton: tuple[tuple[int, int], ...] = COCO_17.skeleton
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        for name in ("score_threshold", "nms_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, got {getattr(self, name)}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {self.precision!r}")
        count = len(self.keypoint_names)
        if not count or len(set(self.keypoint_names)) != count:
            raise ValueError("keypoint_names must not be empty and each must be unique")
        if any(not 0 <= end < count for limb in self.skeleton for end in limb):
            raise ValueError(f"skeleton must join keypoints 0..{count - 1}")
        pair = (self.detector.decoder if self.detector else None, self.pose.decoder)
        if pair not in {(None, "rtmo"), ("yolox", "simcc"), ("rtmdet", "simcc")}:
            raise ValueError(f"{pair[0]} and {pair[1]} are not a pair of networks that make a model")

    @property
    def networks(self) -> tuple[NetworkSpec, ...]:
        """In the order in which they run."""
        return (self.pose,) if self.detector is None else (self.detector, self.pose)

    @property
    def side_px(self) -> int | None:
        """The side of the square that frames are letterboxed to; None for a model that takes whole frames."""
        return self.pose.width_px if self.detector is None else None

    @property
    def full_name(self) -> str:
        """The name with the precision, unless that is fp32."""
        return self.name if self.precision == "fp32" else f"{self.name}@{self.precision}"

    @property
    def fingerprint(self) -> str:
        """SHA-256, as hex, over everything that changes the poses, written as canonical JSON."""
        fields = {key: value for key, value in self.to_dict().items() if key not in _NOT_IN_FINGERPRINT}
        return hashlib.sha256(_canonical(fields).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """All fields, as `from_dict` takes them."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """All fields as one line of canonical JSON: sorted keys, no spaces."""
        return _canonical(self.to_dict())

    @property
    def weights_sha256s(self) -> tuple[str, ...]:
        """Of every file that it needs."""
        return tuple(network.weights_sha256 for network in self.networks)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read what `to_json` wrote; see `from_dict`."""
        try:
            return cls.from_dict(json.loads(text))
        except ValueError as error:
            raise _unreadable(error) from error

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ModelSpec:
        """Read what `to_dict` gives, or what `to_json` wrote once it is parsed.

        Raises:
            InvalidWeights: the fields are not those of a model of this version of Poseline.
        """
        try:
            values = dict(fields)
            values["pose"] = NetworkSpec(**values["pose"])
            values["detector"] = values["detector"] and NetworkSpec(**values["detector"])
            values["keypoint_names"] = tuple(values["keypoint_names"])
            values["skeleton"] = tuple((int(a), int(b)) for a, b in values["skeleton"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unreadable(error) from error


def _unreadable(error: Exception) -> InvalidWeights:
    return InvalidWeights(
        f"the description of this model cannot be read ({error}); was it written by another Poseline version?"
    )


def _canonical(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
