"""The three things that a frame cannot do without, each alone: decoding, conversion, the network.

Runs as a process of its own, `python -m pipeline.bench.alone PART …`, that counts its processor time. The decoder has
one thread and the network one caller with one thread. Conversion is from the decoder's picture to the network's planes.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.bench.engines import Engine
from pipeline.bench.measure import BenchFailed, last_words
from pipeline.inference.contracts import Network
from pipeline.inference.engines.placement import Placement, open_session
from pipeline.inference.preprocessing import Image, InputBuffer
from pipeline.inference.zoo import FoundModel, find_model
from pipeline.video.yardstick import iter_plainly, upright_of
from pipeline.video.zygote_client import child_environment

#: Few enough to stay in the processor's cache, as a frame does that was just decoded.
_PICTURES = 8
_WARM_CALLS = 3


@dataclass(frozen=True)
class Alone:
    """What one of them took."""

    frames: int
    cpu_s: float

    @property
    def cpu_ms(self) -> float:
        """Processor milliseconds a frame."""
        return 1e3 * self.cpu_s / self.frames


def decode_alone(clip: Path) -> Alone:
    """Decode a whole clip, in a process of its own."""
    return _in_a_process("decode", str(clip), env=child_environment())


def convert_alone(clip: Path, side: int, frames: int) -> Alone:
    """Convert so many pictures, in a process of its own."""
    return _in_a_process("convert", str(clip), str(side), str(frames), env=child_environment())


def infer_alone(clip: Path, engine: Engine, models_path: Path, frames: int) -> Alone:
    """Call the network so many times, in a process of its own."""
    args = (str(clip), engine.model, engine.device, str(models_path), str(frames))
    return _in_a_process("infer", *args, env=os.environ | {"OMP_NUM_THREADS": "1"})


def _in_a_process(*args: str, env: Mapping[str, str]) -> Alone:
    done = subprocess.run([sys.executable, "-m", __name__, *args], capture_output=True, check=False, env=env)
    if done.returncode:
        raise BenchFailed(f"{args[0]} alone broke off: {last_words(done.stderr) or done.returncode}")
    return Alone(**json.loads(done.stdout))


def _timed(frames: Iterable[object]) -> Alone:
    cpu_s, count = time.process_time(), 0
    for _ in frames:
        count += 1
    return Alone(count, time.process_time() - cpu_s)


def _convert(clip: Path, side: int, frames: int) -> Alone:
    pictures = list(itertools.islice(iter_plainly(clip), _PICTURES))
    upright, planes = upright_of(pictures[0], side), InputBuffer()
    square = np.empty((side, side, 3), np.uint8)

    def convert(number: int) -> object:
        upright.write(pictures[number % len(pictures)], square)
        return planes.fill([square])

    return _timed(map(convert, range(frames)))


def _infer(clip: Path, found: FoundModel, placement: Placement, frames: int) -> Alone:
    spec = found.spec
    session = open_session(found.path, placement, spec.pose, spec.precision)
    network, planes = Network(session, spec.pose, found.path), InputBuffer()
    batches = [planes.fill([square]).copy() for square in squares_of(clip, spec.pose.width_px, _PICTURES)]

    def infer(number: int) -> object:
        return session.run(batches[number % len(batches)], network.outputs)

    for number in range(_WARM_CALLS):
        infer(number)
    return _timed(map(infer, range(frames)))


def squares_of(clip: Path, side: int, count: int) -> list[Image]:
    """A clip's first frames as a network of that side takes them, uint8 `[side, side, 3]` BGR."""
    squares: list[Image] = []
    for frame in itertools.islice(iter_plainly(clip), count):
        squares.append(np.empty((side, side, 3), np.uint8))
        upright_of(frame, side).write(frame, squares[-1])
    return squares


def _main(part: str, clip: str, *args: str) -> Alone:
    cv2.setNumThreads(1)
    if part == "decode":
        return _timed(iter_plainly(Path(clip)))
    if part == "convert":
        return _convert(Path(clip), int(args[0]), int(args[1]))
    model, device, models_path, frames = args
    return _infer(Path(clip), find_model(model, Path(models_path)), Placement(device), int(frames))  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_main(*sys.argv[1:]))))
