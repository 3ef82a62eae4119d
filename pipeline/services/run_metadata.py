"""The metadata beside an export: the video, the model, and the names of the keypoints."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.db.runs import RunRow
from pipeline.db.videos import VideoRow


def run_metadata(run: RunRow, video: VideoRow) -> dict[str, Any]:
    """Metadata of a run that is done, the same at each call. The model's name, licence, source and skeleton are those
    of the latest request for it."""
    spec, time_base = run.model, video.time_base
    assert time_base is not None
    return {
        "run": str(run.id),
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
        "keypoint_names": spec.keypoint_names,
        "skeleton": spec.skeleton,
        "coordinates": "pixels of the frame as displayed, x to the right and y down; each keypoint is x, y, confidence",
    }


def encode_run_metadata(run: RunRow, video: VideoRow) -> bytes:
    """`run_metadata` as indented JSON."""
    return orjson.dumps(run_metadata(run, video), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
