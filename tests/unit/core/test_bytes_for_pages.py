"""The pages' own decoder is tested against bytes that are written here: `pipeline/web/tests/data`.

Where the format changes, run this file with `--write`, and `FORMAT` in `pipeline/web/src/player/open.ts` goes up.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.frame_index import FrameIndex
from pipeline.core.frame_table import encode_frame_table
from pipeline.core.pose_segment import SegmentFrame, encode_segment
from pipeline.core.poses import FramePoses
from tests.support.packed_reader import read_frame_table, read_segment
from tests.support.paths import ROOT

DATA = ROOT / "pipeline" / "web" / "tests" / "data"
FIRST_FRAME = 40


def segment() -> bytes:
    """Frames with nobody to three people, some missing, one to come."""
    rng = np.random.default_rng(14)
    frames = [
        SegmentFrame(
            FramePoses(
                rng.random(people),
                rng.uniform(-50, 1300, (people, 4)),
                np.concatenate([rng.uniform(-5000, 5000, (people, 3, 2)), rng.random((people, 3, 1))], axis=2),
            )
        )
        for people in (0, 2, 3, 1, 0, 3)
    ]
    frames.insert(2, SegmentFrame(None, "not decoded"))
    frames.insert(4, SegmentFrame(None, "given up"))
    return encode_segment([*frames, SegmentFrame(None)], (1280, 720), {"first_frame": FIRST_FRAME, "final": False})


def tables() -> dict[str, bytes]:
    """One with even and odd steps from half a second on, and one with a gap that 32 bits do not hold."""
    indexes = {
        "table": ([45, 46, 49, 51, 58, 59, 1000], Fraction(1, 90)),
        "wide_table": ([-(2**40), 0, 1, 2**33 + 5], Fraction(1, 1_000_000)),
    }
    return {name: encode_frame_table(_index(pts, base), {"width": 9}) for name, (pts, base) in indexes.items()}


def _index(pts: list[int], time_base: Fraction) -> FrameIndex:
    zeros = np.zeros(len(pts), np.int64)
    return FrameIndex(time_base, np.array(pts, np.int64), zeros.astype(bool), zeros, zeros)


def files() -> dict[str, bytes]:
    """All that the pages' tests read, by name."""
    read = read_segment(segment())
    expected: dict[str, Any] = {
        "states": read.states,
        "reasons": read.header["reasons"],
        "people": [
            [{"score": score, "box": box, "points": points.tolist()} for score, box, points in people]
            for people in read.people
        ],
    }
    written = {"segment.bin": segment(), "segment.json": _json(expected)}
    for name, table in tables().items():
        header, pts = read_frame_table(table)
        times = [float(each * Fraction(*header["time_base"])) for each in pts]
        written |= {f"{name}.bin": table, f"{name}.json": _json({"times": times, "segments": header["segments"]})}
    return written


def _json(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def test_the_pages_are_tested_against_what_is_written_today() -> None:
    assert {path.name: path.read_bytes() for path in DATA.iterdir()} == files()


if __name__ == "__main__" and "--write" in sys.argv:
    for name, data in files().items():
        Path(DATA / name).write_bytes(data)
