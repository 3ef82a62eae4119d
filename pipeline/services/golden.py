"""Hold a model that was loaded against the golden pictures; `python -m pipeline.services.golden` renews them."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.placement import Placement
from pipeline.inference.golden import GoldenReport, check_model
from pipeline.inference.golden_poses import POSES_FILE, look, written_poses
from pipeline.inference.models import PoseModel
from pipeline.inference.zoo import FoundModel, find_model, load_model
from pipeline.video.letterbox import letterbox


def check(found: FoundModel, model: PoseModel, placement: Placement) -> GoldenReport:
    """Whether a model computes here what it should; where the device is not onnxruntime's CPU, that is asked.

    Raises:
        ModelUnusable, DeviceUnavailable: the CPU cannot be asked.
        OutputUnusable: it gives no numbers.
    """
    plain = replace(found, spec=replace(found.spec, precision="fp32"))
    return check_model(model, letterbox, placement.device, lambda: load_model(plain, Placement("cpu")))


def expected_poses() -> bytes:
    """The bundled model's poses of the golden pictures, as they are kept."""
    model = load_model(find_model(BUNDLED_MODEL, Path()), Placement("cpu"))
    return written_poses(model.spec, model.facts, look(model, letterbox, math.inf).poses())


if __name__ == "__main__":
    POSES_FILE.write_bytes(expected_poses())
    sys.stdout.write(f"{POSES_FILE}\n")
