"""The facts of the known models, as people choose one: for whom, how large, how fast here, how accurate."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, get_args

from pipeline.core.precision import Precision
from pipeline.inference.catalogue import ALIASES
from pipeline.inference.guide import GUIDES, Guide
from pipeline.inference.speeds import Speed
from pipeline.inference.zoo import ModelState


def model_facts(state: ModelState, measured: Sequence[Speed]) -> dict[str, Any]:
    """All facts of one model, by name, with units in the names.

    Args:
        measured: on this machine, of any model, the newest first.
    """
    entry, spec = state.entry, state.spec
    guide = GUIDES.get(state.name, Guide(""))
    speeds = speeds_of(state, measured)
    plain = next((speed for speed in speeds if speed.precision == "fp32"), None)
    return {
        "name": state.name,
        "for_whom": guide.for_whom or None,
        "on_this_machine": state.is_local,
        "also": [alias for alias, name in ALIASES.items() if name == state.name],
        "fingerprint": spec.fingerprint if spec else None,
        "input_px": [entry.pose.width_px, entry.pose.height_px],
        "keypoints": len(entry.keypoints.names),
        "keypoint_names": entry.keypoints.names,
        "skeleton": entry.keypoints.skeleton,
        "score_threshold": entry.score_threshold,
        "nms_threshold": entry.nms_threshold,
        "stages": len(entry.weights),
        "weights": dict(
            zip(
                (weights.name for weights in entry.weights),
                spec.weights_sha256s if spec else [None] * len(entry.weights),
                strict=True,
            )
        ),
        "weights_bytes": sum(state.weights_bytes.values()) if state.is_local else None,
        "pose_parameters": guide.pose_parameters,
        "published_ap": guide.published_ap,
        "published": [figure.to_dict() for figure in guide.figures],
        "trained_on": guide.trained_on or None,
        "frame_ms": plain.frame_ms if plain else None,
        "frames_per_s": plain.frames_per_s if plain else None,
        "people_per_frame": plain.people_per_frame if plain else None,
        "speeds": [dataclasses.asdict(speed) | {"frames_per_s": speed.frames_per_s} for speed in speeds],
        "licence": entry.licence,
        "source": entry.source,
        "from": entry.origin,
    }


def speeds_of(state: ModelState, measured: Sequence[Speed]) -> list[Speed]:
    """Those of one model in every precision, the newest first."""
    if state.spec is None:
        return []
    own = {dataclasses.replace(state.spec, precision=precision).fingerprint for precision in get_args(Precision)}
    return [speed for speed in measured if speed.fingerprint in own]


def last_speed(state: ModelState, measured: Sequence[Speed]) -> Speed | None:
    """The last one in full precision."""
    return next((speed for speed in speeds_of(state, measured) if speed.precision == "fp32"), None)
