"""A model of the user's own: an ONNX file with RTMO's contract, and what can be said of it beside it.

`mine.onnx` may have a `mine.json` with any of `keypoint_names`, `skeleton`, `score_threshold`, `nms_threshold`,
`licence` and `source`. Without it the keypoints are named by their number: 17 are COCO's, and so on.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.keypoints import keypoints_of
from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.core.precision import Precision
from pipeline.errors import InvalidWeights, UnknownModel, UsageError
from pipeline.inference.contracts import Network, input_side_px
from pipeline.inference.weights.checksums import sha256_of

#: What rtmlib 0.0.16 takes for any RTMO (`rtmlib.RTMO.__init__`).
SCORE_THRESHOLD, NMS_THRESHOLD = 0.7, 0.45


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _are_limbs(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(limb, list) and len(limb) == 2 and all(type(end) is int for end in limb) for limb in value
    )


#: What may stand in the file beside a model, and in what form.
_SHAPES: dict[str, tuple[Callable[[object], bool], str]] = {
    "keypoint_names": (_are_names, 'a list of names, ["nose", ...]'),
    "skeleton": (_are_limbs, "a list of pairs of keypoints by their place, [[0, 1], ...]"),
    "score_threshold": (_is_share, "a number within 0..1"),
    "nms_threshold": (_is_share, "a number within 0..1"),
    "licence": (_is_text, 'a text, "MIT"'),
    "source": (_is_text, "a text"),
}


def describe(path: Path, precision: Precision = "fp32") -> ModelSpec:
    """The model in a file, opened and run once to learn what it takes and gives.

    Raises:
        UnknownModel: it is not there.
        InvalidWeights: it is no ONNX, or does not follow RTMO's contract.
        UsageError: what stands in the JSON file beside it cannot be.
    """
    from pipeline.inference.engines.onnx_session import CPU, open_onnx  # noqa: PLC0415 - takes 0.2 s, and few need it

    if not path.is_file():
        raise UnknownModel(f"there is no file {path}; check the path")
    # From a folder of its own: what lies in files beside it would be in no fingerprint, and on no other machine.
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(shutil.copy(path, Path(folder) / path.name))
        try:
            session = open_onnx(alone, CPU)
        except InvalidWeights as error:
            reason = error.message.replace(str(alone), str(path)).removesuffix("; fetch it again")
            is_apart = "external" in reason.lower()
            fix = "its weights have to be inside the file" if is_apart else "it has to be a whole ONNX file"
            raise InvalidWeights(f"{reason}; {fix}") from error
        sha256 = sha256_of(alone)
    side_px = input_side_px(session.inputs)
    if side_px is None:
        raise InvalidWeights(
            f"{path} does not follow RTMO's contract: it takes {', '.join(map(str, session.inputs))}, not squares of "
            "one size, [batch, 3, side, side]"
        )
    network = NetworkSpec("rtmo", sha256, side_px, side_px)
    _, keypoints = Network(session, network, path).run(np.full((1, 3, side_px, side_px), 114, np.float32))
    known, said = keypoints_of(keypoints.shape[2]), _read_sidecar(path.with_suffix(".json"))
    names = said.get("keypoint_names", known.names)
    if len(names) != keypoints.shape[2]:
        raise UsageError(
            f"{path.with_suffix('.json')} names {len(names)} keypoints, but {path} gives {keypoints.shape[2]}"
        )
    try:
        return ModelSpec(
            name=path.stem,
            pose=network,
            score_threshold=float(said.get("score_threshold", SCORE_THRESHOLD)),
            nms_threshold=float(said.get("nms_threshold", NMS_THRESHOLD)),
            licence=str(said.get("licence", "unknown")),
            source=str(said.get("source", f"{path.name}, brought by the user")),
            keypoint_names=tuple(str(name) for name in names),
            skeleton=tuple((int(a), int(b)) for a, b in said.get("skeleton", known.skeleton)),
            precision=precision,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path.with_suffix('.json')} cannot be used: {error}") from error


def _read_sidecar(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text())
        if not isinstance(said, dict) or not set(said) <= set(_SHAPES):
            raise ValueError(f"it may hold {', '.join(_SHAPES)}")
        for name, (is_valid, expected) in _SHAPES.items():
            if name in said and not is_valid(said[name]):
                raise ValueError(f"{name} must be {expected}")
        return said
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be used: {error}") from error
