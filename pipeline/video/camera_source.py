"""Pictures for a live session: a video file's, decoded in the sandbox, or those of a camera of this machine."""

from __future__ import annotations

import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
from av.error import FFmpegError

from pipeline.core.letterbox import Image
from pipeline.core.live_protocol import MIN_SIDE_PX
from pipeline.core.video_limits import VideoLimits
from pipeline.errors import UsageError
from pipeline.video.reader import VideoReader, probe
from pipeline.video.source import FileSource

_USUAL_FPS = 30.0
#: As an upload may have.
_LIMITS = VideoLimits()


@dataclass(frozen=True, eq=False)
class CameraPicture:
    """One picture.

    Args:
        number: its place among all.
        pts: in the camera's time base.
        due_s: when it is to be shown, from the first one on; None where it comes when it is captured.
        image: uint8 `(height, width, 3)` BGR, of the camera's `width` and `height`.
    """

    number: int
    pts: int
    due_s: float | None
    image: Image


@dataclass(frozen=True, eq=False)
class OpenCamera:
    """A camera whose pictures can be read, once.

    Args:
        width, height: of its pictures, in pixels; even.
        scale: of the file's or the device's pixels to these, across and down.
        fps: in a second.
        frames: of a file; None of a device.
    """

    width: int
    height: int
    scale: tuple[float, float]
    fps: float
    time_base: Fraction
    frames: int | None
    pictures: Generator[CameraPicture, None, None]


@contextmanager
def open_camera(path: Path, longest_px: int) -> Iterator[OpenCamera]:
    """Open a video file, or a device such as `/dev/video0`, for the duration of the block.

    Args:
        longest_px: larger pictures are made smaller, until the longer side has so many pixels.

    Raises:
        UsageError: there is no such file or device, or it cannot be opened.
        VideoRejected: the file is no video that can be analysed.
        DecodeFailed: the decoder failed.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: {error.strerror}; name a video file or a camera") from error
    if not stat.S_ISCHR(mode) and not stat.S_ISREG(mode):
        raise UsageError(f"{path} is neither a video file nor a camera such as /dev/video0")
    with (_open_device if stat.S_ISCHR(mode) else _open_file)(path, longest_px) as camera:
        try:
            yield camera
        finally:
            camera.pictures.close()


@contextmanager
def _open_file(path: Path, longest_px: int) -> Iterator[OpenCamera]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; name a video file or a camera") from error
    with file:
        source = FileSource(file)
        info = probe(source, _LIMITS)
        index, (width, height, scale) = info.index, _fitted(*info.size, longest_px)
        seconds = [float((pts - index.pts[0]) * index.time_base) for pts in index.pts.tolist()]
        fps = (len(index) - 1) / seconds[-1] if len(index) > 1 and seconds[-1] > 0 else _USUAL_FPS

        def pictures() -> Generator[CameraPicture, None, None]:
            frames = VideoReader(source, index, info.size, _LIMITS).frames(0, len(index))
            try:
                for frame in frames:
                    # The frame's memory is the next one's soon.
                    image: Any = cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_AREA)
                    yield CameraPicture(
                        frame.number, frame.pts, seconds[frame.number], image.copy() if image is frame.image else image
                    )
            finally:
                frames.close()

        yield OpenCamera(width, height, scale, fps, index.time_base, len(index), pictures())


@contextmanager
def _open_device(path: Path, longest_px: int) -> Iterator[OpenCamera]:
    try:
        container = av.open(str(path), format="v4l2", options={"framerate": f"{_USUAL_FPS:g}"})
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{path} gives no pictures ({reason}); is it a camera, and may you read it (group video)?"
        ) from error
    with container:
        if not container.streams.video:
            raise UsageError(f"{path} gives no pictures; `v4l2-ctl --list-devices` names those that do")
        stream = container.streams.video[0]
        width, height, scale = _fitted(stream.width, stream.height, longest_px)
        time_base = stream.time_base or Fraction(1, 1000)

        def pictures() -> Generator[CameraPicture, None, None]:
            try:
                for number, frame in enumerate(container.decode(stream)):
                    image: Any = frame.to_ndarray(format="bgr24", width=width, height=height)
                    yield CameraPicture(number, frame.pts or 0, None, image)
            except FFmpegError as error:
                raise UsageError(f"{path} gives no more pictures: {error.strerror}") from error

        yield OpenCamera(width, height, scale, float(stream.average_rate or _USUAL_FPS), time_base, None, pictures())


def _fitted(width: int, height: int, longest_px: int) -> tuple[int, int, tuple[float, float]]:
    """The even size of pictures that are no longer than allowed, and its scale to the whole ones."""
    scale = min(1.0, longest_px / max(width, height))
    even = [max(MIN_SIDE_PX, round(side * scale / 2) * 2) for side in (width, height)]
    return even[0], even[1], (even[0] / width, even[1] / height)
