"""A video like a phone's to measure with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.stream import VideoStream

RATE = 30
KEYFRAME_EVERY = 60


def make_clip(path: Path, *, width: int, height: int, frames: int, crf: int = 23) -> Path:
    """Encode H.264 with B-frames: a textured scene that pans, things that move in front of it, and a sensor's noise."""
    rng = np.random.default_rng(0)
    scene = _blurred(rng, height + 128, width + 256)
    noise = rng.normal(0, 3, (height + 64, width + 64)).round().clip(-8, 8).astype(np.int8)
    yy, xx = np.mgrid[: height // 3, : width // 8]
    body = (96 + 64 * np.sin(yy / 9) * np.cos(xx / 7)).astype(np.uint8)
    with _atomically(path) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": str(crf), "bf": "3"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = KEYFRAME_EVERY
        stream.time_base = stream.codec_context.time_base = Fraction(1, RATE)
        for number in range(frames):
            left, top = (number * 3) % 256, round(64 + 60 * np.sin(number / 20))
            luma = scene[top : top + height, left : left + width].copy()
            for person in range(4):
                x = (number * (5 + 3 * person) + person * width // 4) % (width - body.shape[1])
                y = round((height - body.shape[0]) * (0.5 + 0.45 * np.sin(number / 15 + person)))
                luma[y : y + body.shape[0], x : x + body.shape[1]] = body + 16 * person
            dy, dx = rng.integers(0, 64, 2)
            # Two's complement: adding a negative byte is adding 256 less it. The scene stays clear of both ends.
            luma += noise[dy : dy + height, dx : dx + width].view(np.uint8)
            chroma = scene[top : top + height // 2, left : left + width // 2] // 4 + 100
            planes = np.concatenate([luma.ravel(), chroma.ravel(), (228 - chroma).ravel()])
            frame = av.VideoFrame.from_ndarray(planes.reshape(height * 3 // 2, width), format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _blurred(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.uint8]:
    """uint8 `(height, width)` of 40 to 200: texture of every size, as grass and crowds have it."""
    total = np.zeros((height, width), np.float32)
    for grain in (4, 16, 64):
        coarse = rng.random((height // grain + 2, width // grain + 2), np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    total -= total.min()
    scene: npt.NDArray[np.uint8] = (40 + 160 * total / total.max()).astype(np.uint8)
    return scene


@contextmanager
def _atomically(path: Path) -> Iterator[OutputContainer]:
    """An MP4 that gets its name when it is complete."""
    part = path.with_name(f".{path.name}.part")
    with av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as container:
        yield container
    part.replace(path)
