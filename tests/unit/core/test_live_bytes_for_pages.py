"""The live page's protocol and agreement are tested against what is written here: `pipeline/web/tests/live_data`.

Where the protocol changes, run this file with `--write`.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import numpy as np

from pipeline.core.live_protocol import Codec, Frame, Hello, Mode, read_client
from pipeline.core.live_results import Fate, Result
from pipeline.core.oks import COCO_SIGMAS, SURE_CONFIDENCE, oks
from pipeline.core.poses import FramePoses
from tests.support.paths import ROOT

FILE = ROOT / "pipeline" / "web" / "tests" / "live_data" / "live.json"
COCO = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle"),
)
#: Of the preview's 33 keypoints, those that COCO has (https://ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker).
IN_PREVIEW = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)


def frames() -> list[Frame]:
    """Frames of a client."""
    return [
        Frame(1, True, 1234.5678, 3.5, 1.25, b"\0\0\0\1\x67picture"),
        Frame(2**32 - 1, False, 9e9 + 1 / 3, 0.0, 812.5, b"\xff\xd8\xff"),
    ]


def results() -> list[Result]:
    """Results of each fate; of analysed frames with nobody, and with people who are partly out of the picture."""
    rng = np.random.default_rng(15)
    people = FramePoses(
        np.float32([0.9, 0.5]),
        np.float32([[10.125, -3, 600, 5000], [-5000, 0.06, 1, 2]]),
        np.concatenate([rng.uniform(-100, 700, (2, 17, 2)), rng.random((2, 17, 1))], axis=2).astype(np.float32),
    )
    times = {"captured_at_ms": 1000.25, "received_at_ms": 77_000.5, "sent_at_ms": 77_050.75}
    steps = {"decode_ms": 1.5, "wait_ms": 2.25, "process_ms": 31.125, "batch": 3}
    return [
        Result(5, Fate.ANALYSED, **times, **steps, poses=people),
        Result(6, Fate.ANALYSED, **times, **steps, poses=FramePoses.empty()),
        Result(7, Fate.SUPERSEDED, **times),
        Result(4_000_000_000, Fate.FAILED, **times, reason="damaged: “é”"),
    ]


def agreements() -> list[dict[str, Any]]:
    """People of a server near a preview's person and away from it, with their OKS."""
    rng = np.random.default_rng(33)
    found = []
    for names in (COCO, (*COCO, "head", "neck")):
        preview = np.round(rng.uniform(50, 300, (33, 4)), 3).astype(np.float32)
        people, alike = [], []
        for off_px in (2.0, 12.0, 60.0):
            points = np.zeros((len(names), 3))
            points[:17, :2] = preview[list(IN_PREVIEW), :2] + rng.normal(0, off_px, (17, 2))
            points[:, 2] = rng.random(len(names))
            box = [40.0, 45.0, 310.0, 320.0]
            area = (box[2] - box[0]) * (box[3] - box[1])
            sure = points[:17, 2] >= SURE_CONFIDENCE
            alike.append(oks(preview[list(IN_PREVIEW), :2], points[:17, :2], sure, area, COCO_SIGMAS))
            people.append({"box": box, "points": points.tolist()})
        found.append({"keypoints": names, "preview": preview.ravel().tolist(), "people": people, "oks": alike})
    return found


def _told(message: bytes) -> dict[str, Any]:
    """A result as the page has it."""
    result = Result.from_bytes(message)
    poses = result.poses if result.poses is not None else FramePoses.empty()
    rows = zip(poses.scores.tolist(), poses.boxes_xyxy.tolist(), poses.keypoints.tolist(), strict=True)
    people = [
        {
            "score": _share(score),
            "box": box,
            "points": [{"x": x, "y": y, "confidence": _share(confidence)} for x, y, confidence in points],
        }
        for score, box, points in rows
    ]
    return {
        "fate": result.fate.name.lower(),
        "id": result.id,
        "capturedAtMs": result.captured_at_ms,
        "receivedAtMs": result.received_at_ms,
        "sentAtMs": result.sent_at_ms,
        "decodeMs": result.decode_ms,
        "waitMs": result.wait_ms,
        "processMs": result.process_ms,
        "batch": result.batch,
        "people": people,
        "reason": result.reason,
    }


def _share(value: float) -> float:
    """In double precision, as JavaScript has it."""
    return round(value * 255) / 255


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def file() -> bytes:
    """All that the pages' tests read."""
    hello = {"codec": "h264", "width": 640, "height": 360, "mode": "hybrid", "fps": 30, "name": "pitch 2", "keep": True}
    written = {
        "hello": hello,
        "hello_text": json.loads(Hello(Codec.H264, 640, 360, Mode.HYBRID, 30, name="pitch 2", keep=True).to_text()),
        "frames": [
            {
                "bytes": _base64(frame.to_bytes()),
                "id": frame.id,
                "keyframe": frame.keyframe,
                "capturedAtMs": frame.captured_at_ms,
                "captureMs": frame.capture_ms,
                "encodeMs": frame.encode_ms,
                "data": _base64(frame.data),
            }
            for frame in frames()
        ],
        "results": [{"bytes": _base64(each.to_bytes()), "result": _told(each.to_bytes())} for each in results()],
        "agreement": agreements(),
        "sigmas": COCO_SIGMAS,
    }
    return json.dumps(written).encode() + b"\n"


def test_the_live_page_is_tested_against_what_is_written_today() -> None:
    assert FILE.read_bytes() == file()
    assert [read_client(frame.to_bytes()) for frame in frames()] == frames()


if __name__ == "__main__" and "--write" in sys.argv:
    FILE.write_bytes(file())
