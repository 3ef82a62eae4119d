"""Videos for tests, with each frame's number painted in its pixels: a lost, doubled or foreign frame shows itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange

from tests.support.container_maker import turn_header

Image = npt.NDArray[np.uint8]

CODEC = "libx264" if "libx264" in av.codecs_available else "mpeg4"
BITS = 16
COLUMNS = 4

_FULL_RANGE = ("mjpeg",)
_PIXELS = {
    "mjpeg": "yuvj420p",
    "prores_ks": "yuv422p10le",
    "dnxhd": "yuv422p",
    "ffv1": "yuv444p",
}


def paint(number: int, width: int, height: int) -> Image:
    """uint8 BGR `(height, width, 3)`: the number's bits as a 4 x 4 board, most significant top left, over a red to
    blue slope that tells left from right."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[...] = np.linspace((200, 60, 20), (20, 60, 200), width).astype(np.uint8)
    for bit, (y, x) in enumerate(cells()):
        top, left = int((y - 0.1) * height), int((x - 0.1) * width)
        bottom, right = int((y + 0.1) * height), int((x + 0.1) * width)
        image[top:bottom, left:right] = 255 if number >> (BITS - 1 - bit) & 1 else 0
    return image


def cells() -> list[tuple[float, float]]:
    """The centres (y, x) of the board's squares, as shares of the picture's sides, most significant bit first."""
    return [((row + 0.5) / COLUMNS, (column + 0.5) / COLUMNS) for row in range(BITS // COLUMNS) for column in range(4)]


def read_number(image: Image) -> int:
    """The number painted in an upright picture of any size."""
    height, width = image.shape[:2]
    number = 0
    for y, x in cells():
        centre = image[int(y * height) - 1 : int(y * height) + 2, int(x * width) - 1 : int(x * width) + 2]
        number = number << 1 | int(centre.mean() > 127)
    return number


def shades(image: Image) -> tuple[list[float], list[float]]:
    """The values in the middles of the board's black squares, and of its white ones."""
    height, width = image.shape[:2]
    values = [float(image[int(y * height), int(x * width)].mean()) for y, x in cells()]
    return [value for value in values if value <= 127], [value for value in values if value > 127]


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
    numbers: Sequence[int] | None = None,
    noise: bool = False,
    audio_s: float = 0.0,
    pixels: str | None = None,
    full_range: bool = False,
    pixel_aspect: Fraction | None = None,
    turn: tuple[int, bool] = (0, False),
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode `frames` painted frames.

    Args:
        width, height: as stored.
        numbers: to paint; counted from 0 without.
        noise: makes each frame tens of kilobytes.
        pixels: FFmpeg's pixel format.
        turn: quarter turns clockwise, and mirroring left for right after them, that show the stored picture upright.
    """
    rng = np.random.default_rng(0)
    with (
        usual_priority(),
        av.open(str(path), "w", format=fmt, options=container_options or {}) as container,
    ):
        stream: Any = container.add_stream(codec, rate=30, options=options or {})
        stream.width, stream.height = width, height
        stream.pix_fmt = pixels = pixels or _PIXELS.get(codec, "yuv420p")
        stream.time_base = stream.codec_context.time_base = time_base
        stream.gop_size = gop
        if codec in ("libx264", "mpeg4", "mpeg2video"):
            stream.max_b_frames = b_frames
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        color_range = ColorRange.JPEG if full_range or codec in _FULL_RANGE else ColorRange.MPEG
        stream.codec_context.color_range = color_range
        sound: Any = container.add_stream("aac", rate=8000, layout="mono") if audio_s else None
        for at in range(frames):
            image = lay(paint(numbers[at] if numbers else at, *_shown_size(width, height, turn)), turn)
            if noise:
                image[: height // 8] = rng.integers(0, 255, image[: height // 8].shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame = frame.reformat(format=pixels, dst_color_range=color_range)
            frame.color_range = color_range
            frame.pts = at if pts is None else pts[at]
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound:
            _add_silence(container, sound, audio_s)
    return path


@contextmanager
def usual_priority() -> Iterator[None]:
    """Undo what SVT-AV1 does to a caller who is root: real-time priority, which starves all others ever after."""
    try:
        yield
    finally:
        if hasattr(os, "sched_setscheduler"):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def make_turned(path: Path, turn: tuple[int, bool], frames: int = 24, **options: Any) -> Path:
    """An MP4 whose header asks for a turn, and whose pictures stand upright after it."""
    return turn_header(make_video(path, frames, turn=turn, **options), *turn)


def lay(image: Image, turn: tuple[int, bool]) -> Image:
    """How an upright picture has to be stored so that `turn` shows it upright."""
    turns, mirrored = turn
    return np.ascontiguousarray(np.rot90(image[:, ::-1] if mirrored else image, turns))


def stand(image: Image, turn: tuple[int, bool]) -> Image:
    """A stored picture as `turn` shows it."""
    turns, mirrored = turn
    upright = np.rot90(image, -turns)
    return np.ascontiguousarray(upright[:, ::-1] if mirrored else upright)


def make_sound(path: Path) -> Path:
    """A file with sound only."""
    with av.open(str(path), "w") as container:
        _add_silence(container, container.add_stream("aac", rate=8000, layout="mono"), 1.0)
    return path


def decode_in_one_pass(path: Path) -> Iterator[tuple[int | None, Image]]:
    """pts and picture as stored, by plain PyAV in this process: what the sandbox is held against."""
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            yield frame.pts, frame.to_ndarray(format="bgr24")  # type: ignore[misc]


def _shown_size(width: int, height: int, turn: tuple[int, bool]) -> tuple[int, int]:
    return (height, width) if turn[0] % 2 else (width, height)


def _add_silence(container: Any, sound: Any, seconds: float) -> None:
    for at in range(0, int(seconds * 8000), 1024):
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate, silence.pts = 8000, at
        container.mux(sound.encode(silence))
    container.mux(sound.encode(None))
