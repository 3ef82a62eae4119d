"""What decoding is measured against: one plain process that does what a child does.

The plain process has no wall, no ring and no parent; it takes every other advantage of the child: one thread, the
same memory settings, the same steps from frame to square.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

from pipeline.video.demux import CODECS
from pipeline.video.frame_converter import FrameConverter, display_size, orientation
from pipeline.video.zygote_client import child_environment


@dataclass(frozen=True)
class Pass:
    """One decode of a whole video: frames, and wall and processor seconds without the start of the process."""

    frames: int
    wall_s: float
    cpu_s: float


def decode_plainly(path: Path, side: int) -> Pass:
    """Decode a video of this machine in a process of its own, with nothing between it and the file."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(path), str(side)],
        stdout=subprocess.PIPE,
        check=True,
        env=child_environment(),
    )
    return Pass(**json.loads(done.stdout))


def iter_plainly(path: Path) -> Iterator[VideoFrame]:
    """Every frame that a decoder of one thread gives, as it gives them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        stream.codec_context.options = {"codec_whitelist": CODECS}
        yield from container.decode(stream)


def upright_of(frame: VideoFrame, side: int) -> FrameConverter:
    """What makes a video's frames squares of that side, from its first frame; pixels count as square."""
    return FrameConverter(display_size(frame.width, frame.height, orientation(frame), None), side)


def _decode_here(path: Path, side: int) -> Pass:
    cv2.setNumThreads(1)
    out = np.empty((side, side, 3), np.uint8)
    upright: FrameConverter | None = None
    frames = 0
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for frame in iter_plainly(path):
        if upright is None:
            upright = upright_of(frame, side)
        upright.write(frame, out)
        frames += 1
    return Pass(frames, time.perf_counter() - wall_s, time.process_time() - cpu_s)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_decode_here(Path(sys.argv[1]), int(sys.argv[2])))))
