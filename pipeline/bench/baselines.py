"""Baselines, each in a process of its own, `python -m pipeline.bench.baselines NAME …`, that counts its CPU time.

`rtmlib` is rtmlib's plain loop as its README shows it, with the threads that it takes by default; loading and a first
call are excluded. `decode` and `convert` have one thread, `infer` has one caller with one thread. `plain` decodes and
converts, as the decoder child does. `convert` goes from decoded frames to the network's input tensor.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.bench.context import Engine
from pipeline.bench.figures import BenchFailed
from pipeline.bench.plain_decode import converter_of, iter_frames_plainly, iter_squares
from pipeline.inference.contracts import Network
from pipeline.inference.engines.placement import Placement, open_session
from pipeline.inference.preprocessing import InputBuffer
from pipeline.inference.zoo import FoundModel, find_model
from pipeline.video.zygote_client import child_environment

#: Few enough to stay in the CPU's cache, as a frame does that was just decoded.
_FRAMES = 8
_WARM_CALLS = 3


@dataclass(frozen=True)
class Baseline:
    """What a baseline took."""

    frames: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.frames / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per frame."""
        return 1e3 * self.cpu_s / self.frames


def rtmlib_loop(clip: Path, found: FoundModel) -> Baseline:
    """Find the people of a clip with rtmlib alone."""
    spec = found.spec
    return _run("rtmlib", clip, found.path, spec.pose.width_px, spec.score_threshold, spec.nms_threshold)


def decode_alone(clip: Path) -> Baseline:
    """Decode a clip."""
    return _run("decode", clip, env=child_environment())


def convert_alone(clip: Path, side_px: int, frames: int) -> Baseline:
    """Convert so many frames."""
    return _run("convert", clip, side_px, frames, env=child_environment())


def plain_decode(clip: Path, side_px: int) -> Baseline:
    """Decode a clip and convert its frames."""
    return _run("plain", clip, side_px, env=child_environment())


def infer_alone(clip: Path, engine: Engine, models_path: Path, frames: int) -> Baseline:
    """Call the network so many times."""
    env = dict(os.environ) | {"OMP_NUM_THREADS": "1"}
    return _run("infer", clip, engine.model, engine.device, models_path, frames, env=env)


def _run(name: str, *args: object, env: dict[str, str] | None = None) -> Baseline:
    command = [sys.executable, "-m", __name__, name, *map(str, args)]
    done = subprocess.run(command, capture_output=True, check=False, env=env)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise BenchFailed(f"the baseline `{name}` failed: {lines[-1] if lines else done.returncode}")
    return Baseline(**json.loads(done.stdout))


def _timed(frames: Iterable[object]) -> Baseline:
    wall_s, cpu_s, count = time.perf_counter(), time.process_time(), 0
    for _ in frames:
        count += 1
    return Baseline(count, time.perf_counter() - wall_s, time.process_time() - cpu_s)


def _rtmlib(clip: str, model: str, side_px: str, score_threshold: str, nms_threshold: str) -> Baseline:
    from rtmlib import RTMO  # noqa: PLC0415  slow to import, and only this process needs it

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
        side, thresholds = int(side_px), {"score_thr": float(score_threshold), "nms_thr": float(nms_threshold)}
        rtmo = RTMO(model, model_input_size=(side, side), **thresholds, backend="onnxruntime", device="cpu")
    rtmo(np.full((side, side, 3), 114, np.uint8))
    video = cv2.VideoCapture(clip)
    frames = iter(video.read, (False, None))
    return _timed(rtmo(frame) for _, frame in frames)


def _convert(clip: str, side_px: str, frames: str) -> Baseline:
    cv2.setNumThreads(1)
    decoded = list(itertools.islice(iter_frames_plainly(Path(clip)), _FRAMES))
    side = int(side_px)
    converter, buffer = converter_of(decoded[0], side), InputBuffer()
    square = np.empty((side, side, 3), np.uint8)

    def convert(number: int) -> object:
        converter.write(decoded[number % len(decoded)], square)
        return buffer.fill([square])

    return _timed(map(convert, range(int(frames))))


def _infer(clip: str, model: str, device: str, models_path: str, frames: str) -> Baseline:
    found, placement = find_model(model, Path(models_path)), Placement(device)  # type: ignore[arg-type]
    spec, buffer = found.spec, InputBuffer()
    session = open_session(found.path, placement, spec.pose, spec.precision)
    network = Network(session, spec.pose, found.path)
    squares = itertools.islice(iter_squares(Path(clip), spec.pose.width_px), _FRAMES)
    batches = [buffer.fill([square]).copy() for square in squares]

    def infer(number: int) -> object:
        return session.run(batches[number % len(batches)], network.outputs)

    for number in range(_WARM_CALLS):
        infer(number)
    return _timed(map(infer, range(int(frames))))


_BASELINES: dict[str, Callable[..., Baseline]] = {
    "rtmlib": _rtmlib,
    "decode": lambda clip: _timed(iter_frames_plainly(Path(clip))),
    "convert": _convert,
    "plain": lambda clip, side_px: _timed(iter_squares(Path(clip), int(side_px))),
    "infer": _infer,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_BASELINES[sys.argv[1]](*sys.argv[2:]))))
