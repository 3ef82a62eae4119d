"""The metadata of an export: the run, the video, the model, and the names of the keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from pipeline.db.runs import RunRow
from pipeline.db.videos import VideoRow

_COORDINATES = "pixels of the frame as displayed, x to the right and y down; each keypoint is x, y, confidence"
_TIME = "time_s is in seconds on the container's own timeline: pts times time_base"


def run_metadata(run: RunRow, video: VideoRow) -> dict[str, Any]:
    """Metadata of a run that has ended, the same at each call. The model's name, licence, source and skeleton are those
    of the latest request for it."""
    spec, time_base = run.model, video.time_base
    assert time_base is not None
    return {
        "run_id": str(run.id),
        "state": run.state,
        "reason": run.reason,
        "team": run.team,
        "video": {
            "name": video.name,
            "sha256": video.sha256,
            "width_px": video.width,
            "height_px": video.height,
            "frames": video.frames,
            "time_base": [time_base.numerator, time_base.denominator],
        },
        "model": {
            "name": run.model_name,
            "fingerprint": run.model_fingerprint,
            "weights_sha256": spec.weights_sha256s,
            "precision": spec.precision,
            "score_threshold": spec.score_threshold,
            "licence": spec.licence,
            "source": spec.source,
        },
        **({} if run.live is None else {"live": dict(run.live)}),
        "keypoint_names": spec.keypoint_names,
        "skeleton": spec.skeleton,
        "coordinates": _COORDINATES,
        "time": _TIME,
    }


def encode_run_metadata(run: RunRow, video: VideoRow, summary: Mapping[str, Any]) -> bytes:
    """`run_metadata` with the run's numbers and the video's tags as they are now, as indented JSON."""
    found = {**run_metadata(run, video), "tags": dict(video.tags), "results": dict(summary)}
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def about(run: RunRow, video: VideoRow) -> dict[str, str]:
    """The same as text by key, for a file that keeps its own metadata; `poseline` holds all of it as JSON."""
    return {
        "run_id": str(run.id),
        "state": run.state,
        "video": video.name,
        "model": run.model_name,
        "fingerprint": run.model_fingerprint,
        "coordinates": _COORDINATES,
        "time": _TIME,
        "poseline": orjson.dumps(run_metadata(run, video)).decode(),
    }
