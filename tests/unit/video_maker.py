"""Videos for tests, with each frame's number painted in its pixels: a lost, doubled or foreign frame shows itself."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

CODEC = "libx264" if "libx264" in av.codecs_available else "mpeg4"
CLIPS = sorted((Path(__file__).parents[3] / "shared" / "clips").glob("*.mp4"))
BITS = 16
COLUMNS = 4


def paint(number: int, width: int, height: int) -> Image:
    """uint8 BGR `(height, width, 3)`: the number's bits as a 4 x 4 board, most significant top left, over a red to
    blue slope that tells left from right."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[...] = np.linspace((200, 60, 20), (20, 60, 200), width).astype(np.uint8)
    for bit, (y, x) in enumerate(_cells()):
        top, left = int((y - 0.1) * height), int((x - 0.1) * width)
        bottom, right = int((y + 0.1) * height), int((x + 0.1) * width)
        image[top:bottom, left:right] = 255 if number >> (BITS - 1 - bit) & 1 else 0
    return image


def read_number(image: Image) -> int:
    """The number painted in an upright picture of any size."""
    height, width = image.shape[:2]
    number = 0
    for y, x in _cells():
        centre = image[int(y * height) - 1 : int(y * height) + 2, int(x * width) - 1 : int(x * width) + 2]
        number = number << 1 | int(centre.mean() > 127)
    return number


def make_video(
    path: Path,
    frames: int = 60,
    *,
    width: int = 160,
    height: int = 96,
    codec: str = CODEC,
    fmt: str | None = None,
    gop: int = 12,
    b_frames: int = 0,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 30),
    noise: bool = False,
    audio_s: float = 0.0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode `frames` painted frames; `noise` makes each of them tens of kilobytes."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", format=fmt, options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=30, options=options or {})
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.time_base = stream.codec_context.time_base = time_base
        stream.gop_size = gop
        if codec in ("libx264", "mpeg4", "mpeg2video"):
            stream.max_b_frames = b_frames
        sound: Any = container.add_stream("aac", rate=8000, layout="mono") if audio_s else None
        for number in range(frames):
            image = paint(number, width, height)
            if noise:
                image[: height // 8] = rng.integers(0, 255, image[: height // 8].shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = number if pts is None else pts[number]
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound:
            for at in range(0, int(audio_s * 8000), 1024):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts = 8000, at
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path


def make_sound(path: Path) -> Path:
    """A file with sound only."""
    with av.open(str(path), "w") as container:
        sound: Any = container.add_stream("aac", rate=8000, layout="mono")
        for at in range(0, 8000, 1024):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 8000, at
            container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    return path


def rotate_header(path: Path, clockwise_deg: int) -> Path:
    """Write a display matrix into an MP4's track header, as phones do (ISO 14496-12, 8.3.2)."""
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise_deg]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    assert data[at] == 0, "version 0 of the box"
    one = 0x10000
    matrix = struct.pack(">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    data[at + 40 : at + 76] = matrix
    path.write_bytes(data)
    return path


def decode_in_one_pass(path: Path) -> Iterator[tuple[int | None, Image]]:
    """pts and picture as stored, by plain PyAV in this process: what the sandbox is held against."""
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            yield frame.pts, frame.to_ndarray(format="bgr24")  # type: ignore[misc]


def _cells() -> list[tuple[float, float]]:
    return [((row + 0.5) / COLUMNS, (column + 0.5) / COLUMNS) for row in range(BITS // COLUMNS) for column in range(4)]
