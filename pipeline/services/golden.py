"""Hold a model that was loaded against the golden pictures; `python -m pipeline.services.golden` renews them."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

from pipeline.core.letterbox import letterbox
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.placement import Placement
from pipeline.inference.golden.check import GoldenReport, check_model
from pipeline.inference.golden.reference import POSES_FILE, detect_golden, written_poses
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.zoo import FoundModel, find_model, load_model


def check(found: FoundModel, model: PoseModel, placement: Placement) -> GoldenReport:
    """Whether a model computes here what it should; where the device is not onnxruntime's CPU, that is asked.

    Raises:
        InvalidWeights, DeviceUnavailable: the CPU cannot be asked.
        InvalidOutput: it gives no numbers.
    """
    plain = replace(found, spec=replace(found.spec, precision="fp32"))
    return check_model(model, letterbox, placement.device, lambda: load_model(plain, Placement("cpu")))


def expected_poses() -> bytes:
    """The bundled model's poses of the golden pictures, as they are kept."""
    model = load_model(find_model(BUNDLED_MODEL, Path()), Placement("cpu"))
    return written_poses(model.spec, model.facts, detect_golden(model, letterbox, math.inf).poses())


if __name__ == "__main__":
    POSES_FILE.write_bytes(expected_poses())
    sys.stdout.write(f"{POSES_FILE}\n")
