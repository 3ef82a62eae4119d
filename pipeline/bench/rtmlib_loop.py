"""What the whole system is held against: rtmlib in a plain loop, as its README shows it.

Runs as a process of its own, `python -m pipeline.bench.rtmlib_loop CLIP MODEL SIDE SCORE NMS`. The time of importing
and of loading is not counted, nor is a first call. Decoder and network take the threads that they take by themselves.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.bench.measure import BenchFailed, last_words
from pipeline.inference.zoo import FoundModel


@dataclass(frozen=True)
class Loop:
    """One pass over a clip."""

    frames: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.wall_s


def run_loop(clip: Path, found: FoundModel) -> Loop:
    """Find the people of a clip with rtmlib alone, in a process of its own."""
    spec = found.spec
    args = (clip, found.path, spec.pose.width_px, spec.score_threshold, spec.nms_threshold)
    done = subprocess.run([sys.executable, "-m", __name__, *map(str, args)], capture_output=True, check=False)
    if done.returncode:
        raise BenchFailed(f"rtmlib's loop broke off: {last_words(done.stderr) or done.returncode}")
    return Loop(**json.loads(done.stdout))


def _loop(clip: str, model: str, side: int, score_threshold: float, nms_threshold: float) -> Loop:
    from rtmlib import RTMO  # noqa: PLC0415  slow to import, and only the process of its own needs it

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
        find = RTMO(
            model,
            model_input_size=(side, side),
            score_thr=score_threshold,
            nms_thr=nms_threshold,
            backend="onnxruntime",
            device="cpu",
        )
    find(np.full((side, side, 3), 114, np.uint8))
    frames, wall_s, cpu_s = 0, time.perf_counter(), time.process_time()
    video = cv2.VideoCapture(clip)
    while True:
        more, frame = video.read()
        if not more:
            break
        find(frame)
        frames += 1
    return Loop(frames, time.perf_counter() - wall_s, time.process_time() - cpu_s)


if __name__ == "__main__":
    _clip, _model, _side, _score, _nms = sys.argv[1:]
    sys.stdout.write(json.dumps(asdict(_loop(_clip, _model, int(_side), float(_score), float(_nms)))))
