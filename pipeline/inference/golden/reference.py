"""The golden pictures, what the bundled model finds in them, and showing them to a model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson

from pipeline.core.model_spec import ModelSpec
from pipeline.core.poses import FramePoses
from pipeline.errors import InvalidWeights
from pipeline.inference.engines.sessions import DeviceInfo
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.preprocessing import Image

FOLDER = Path(__file__).parent / "data"
POSES_FILE = FOLDER / "poses.json"

_TIMED_CALLS, _BUDGET_S = 4, 1.0
#: After which no further picture is shown: a worker's slots wait, and the largest models take seconds for one on a CPU.
PATIENCE_S = 5.0

#: Scales a picture into a square of that side: `video.letterbox`, which is handed in.
Letterbox = Callable[[Image, int], tuple[Image, float]]


@dataclass(frozen=True)
class GoldenResult:
    """What a model found: of each frame of each call the number of its picture and the people, and milliseconds."""

    seen: tuple[tuple[int, FramePoses], ...]
    frame_ms: float

    def poses(self) -> list[FramePoses]:
        """Of each picture that was shown, once."""
        by_picture = dict(reversed(self.seen))
        return [by_picture[at] for at in sorted(by_picture)]


def golden_images() -> list[Image]:
    """uint8 BGR `[360, 640, 3]`, whole frames.

    Raises:
        InvalidWeights: they are not there.
    """
    pictures = []
    for path in sorted(FOLDER.glob("*.jpg")):
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        pictures.append(np.asarray(picture, np.uint8))
    if not pictures:
        raise InvalidWeights(f"there are no golden pictures in {FOLDER}; install Poseline again")
    return pictures


def known_poses(spec: ModelSpec) -> list[FramePoses] | None:
    """What these weights find with these thresholds, by picture; None where nobody wrote it down."""
    written = orjson.loads(POSES_FILE.read_bytes())
    mine = {"weights_sha256s": list(spec.weights_sha256s), "thresholds": [spec.score_threshold, spec.nms_threshold]}
    if any(written[key] != value for key, value in mine.items()):
        return None
    return [FramePoses(**frame) if frame["scores"] else FramePoses.empty() for frame in written["frames"]]


def written_poses(spec: ModelSpec, facts: DeviceInfo, poses: Sequence[FramePoses]) -> bytes:
    """What `known_poses` reads."""
    written: dict[str, Any] = {
        "model": spec.full_name,
        "weights_sha256s": spec.weights_sha256s,
        "thresholds": [spec.score_threshold, spec.nms_threshold],
        "made_with": f"{facts.engine} {facts.provider} {facts.precision}",
        "frames": [{"scores": p.scores, "boxes_xyxy": p.boxes_xyxy, "keypoints": p.keypoints} for p in poses],
    }
    return orjson.dumps(written, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def detect_golden(model: PoseModel, letterbox: Letterbox, patience_s: float = PATIENCE_S) -> GoldenResult:
    """Show a model the pictures in batches as full as at work, each picture once at least while patience lasts.

    Raises:
        InvalidWeights, InvalidOutput, DeviceUnavailable: from the model.
    """
    side_px = model.spec.side_px
    shown = [(picture, 1.0) if side_px is None else letterbox(picture, side_px) for picture in golden_images()]
    seen: list[tuple[int, FramePoses]] = []
    took_s: list[float] = []
    start = 0
    while _goes_on(took_s, start >= len(shown), patience_s):
        numbers = [at % len(shown) for at in range(start, start + model.batch)]
        begun_s = time.perf_counter()
        found = model.detect([shown[at][0] for at in numbers], [shown[at][1] for at in numbers])
        took_s.append(time.perf_counter() - begun_s)
        seen += zip(numbers, found, strict=True)
        start += model.batch
    # The first call fills caches and takes memory.
    return GoldenResult(tuple(seen), statistics.median(took_s[1:] or took_s) * 1000 / model.batch)


def _goes_on(took_s: Sequence[float], all_shown: bool, patience_s: float) -> bool:
    if not took_s:
        return True
    if not all_shown:
        return sum(took_s) < patience_s
    return len(took_s) < _TIMED_CALLS and sum(took_s) < _BUDGET_S
