"""The golden images, the bundled model's recorded poses in them, and running a model on them.

`python -m pipeline.inference.golden.reference` computes the recorded poses again.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson

from pipeline.core.letterbox import Image, letterbox
from pipeline.core.model_spec import ModelSpec
from pipeline.core.poses import FramePoses
from pipeline.errors import InvalidWeights
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.placement import Placement
from pipeline.inference.engines.sessions import DeviceInfo
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.zoo import find_model, load_model

FOLDER = Path(__file__).parent / "data"
POSES_FILE = FOLDER / "poses.json"

_TIMED_CALLS, _TIMING_BUDGET_S = 4, 1.0
#: No further image is given to the model after this: a worker's slots wait, and the largest models take seconds for one
#: image on a CPU.
PATIENCE_S = 5.0


@dataclass(frozen=True)
class GoldenResult:
    """What a model found in the golden images.

    Args:
        detections: (number of the image, its people), one for each frame of each call.
        frame_ms: median over the calls.
    """

    detections: tuple[tuple[int, FramePoses], ...]
    frame_ms: float

    def poses(self) -> list[FramePoses]:
        """The first result of each image that was run, in the order of the images."""
        by_image = dict(reversed(self.detections))
        return [by_image[number] for number in sorted(by_image)]


def golden_images() -> list[Image]:
    """Read the images, uint8 BGR `[360, 640, 3]`.

    Raises:
        InvalidWeights: the installation has none.
    """
    images = []
    for path in sorted(FOLDER.glob("*.jpg")):
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        images.append(np.asarray(image, np.uint8))
    if not images:
        raise InvalidWeights(f"there are no golden images in {FOLDER}; install Poseline again")
    return images


def golden_inputs(side_px: int | None) -> list[tuple[Image, float]]:
    """The images as a model takes them, each with its scale: in squares of that side, or whole where it is None.

    Raises:
        InvalidWeights: the installation has none.
    """
    return [(image, 1.0) if side_px is None else letterbox(image, side_px) for image in golden_images()]


def reference_poses(spec: ModelSpec) -> list[FramePoses] | None:
    """Read the recorded poses by image; None where they are of other weights or thresholds."""
    recorded = orjson.loads(POSES_FILE.read_bytes())
    if any(recorded[key] != list(value) for key, value in _identity(spec).items()):
        return None
    return [FramePoses(**frame) if frame["scores"] else FramePoses.empty() for frame in recorded["frames"]]


def encode_reference(spec: ModelSpec, device: DeviceInfo, poses: Sequence[FramePoses]) -> bytes:
    """Encode poses in the form that `reference_poses` reads."""
    content: dict[str, Any] = {
        "model": spec.full_name,
        **_identity(spec),
        "made_with": f"{device.engine} {device.provider} {device.precision}",
        "frames": [{"scores": p.scores, "boxes_xyxy": p.boxes_xyxy, "keypoints": p.keypoints} for p in poses],
    }
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def compute_reference() -> bytes:
    """Run the bundled model in fp32 on onnxruntime's CPU and encode its poses."""
    model = load_model(find_model(BUNDLED_MODEL, Path()), Placement("cpu"))
    return encode_reference(model.spec, model.device, detect_golden(model, math.inf).poses())


def detect_golden(model: PoseModel, patience_s: float = PATIENCE_S) -> GoldenResult:
    """Run a model on the images in batches as full as at work: each image once, unless `patience_s` runs out.

    Raises:
        InvalidWeights, InvalidOutput, DeviceUnavailable: from the model.
    """
    inputs = golden_inputs(model.spec.side_px)
    detections: list[tuple[int, FramePoses]] = []
    took_s: list[float] = []
    start = 0
    while _continues(took_s, start >= len(inputs), patience_s):
        numbers = [number % len(inputs) for number in range(start, start + model.batch)]
        began_s = time.perf_counter()
        found = model.detect([inputs[number][0] for number in numbers], [inputs[number][1] for number in numbers])
        took_s.append(time.perf_counter() - began_s)
        detections += zip(numbers, found, strict=True)
        start += model.batch
    # The first call fills caches and allocates memory.
    return GoldenResult(tuple(detections), statistics.median(took_s[1:] or took_s) * 1000 / model.batch)


def _continues(took_s: Sequence[float], all_run: bool, patience_s: float) -> bool:
    if not took_s:
        return True
    if not all_run:
        return sum(took_s) < patience_s
    return len(took_s) < _TIMED_CALLS and sum(took_s) < _TIMING_BUDGET_S


def _identity(spec: ModelSpec) -> dict[str, Sequence[object]]:
    return {"weights_sha256s": spec.weights_sha256s, "thresholds": (spec.score_threshold, spec.nms_threshold)}


if __name__ == "__main__":
    POSES_FILE.write_bytes(compute_reference())
    sys.stdout.write(f"{POSES_FILE}\n")
