"""Files that Chromium plays as a camera: motion JPEG, 30 frames a second, over and over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import av
import cv2
import numpy as np

from tests.support.paths import DEMO_CLIP

Picture = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

WIDTH, HEIGHT, FRAMES_A_SECOND = 640, 360, 30


def arguments(file: Path) -> tuple[str, ...]:
    """With these a Chromium has one camera, which gives the frames of this file, and is allowed to every page."""
    fake = "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
    return *fake, f"--use-file-for-fake-video-capture={file}"


def demo_camera(file: Path, seconds: float) -> Path:
    """The beginning of the demo clip."""
    return _write(file, _frames(round(seconds * FRAMES_A_SECOND)))


def bad_camera(file: Path, seconds: float) -> Path:
    """Three scenes, so long each: a dark one, one in which the person has no legs, and one in which they are small."""
    frames = list(_frames(round(seconds * FRAMES_A_SECOND)))
    return _write(file, (change(frame) for change in (dark, cut_off, small) for frame in frames))


def dark(frame: Picture) -> Picture:
    """As in the late evening."""
    return (frame * 0.15).astype(np.uint8)


def cut_off(frame: Picture) -> Picture:
    """The part of the picture in which the one on the roof is down to their knees."""
    return _resized(frame[0:125, 100:322])


def small(frame: Picture) -> Picture:
    """The same from further away."""
    inner = cv2.resize(frame, (WIDTH * 4 // 5, HEIGHT * 4 // 5), interpolation=cv2.INTER_AREA)
    made = np.empty_like(frame)
    made[:] = (70, 110, 90)  # a meadow
    made[: inner.shape[0], 60 : 60 + inner.shape[1]] = inner
    return made


def _resized(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _frames(count: int) -> Iterable[Picture]:
    with av.open(str(DEMO_CLIP)) as clip:
        for number, frame in enumerate(clip.decode(video=0)):
            if number == count:
                return
            yield _resized(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))


def _write(file: Path, pictures: Iterable[Picture]) -> Path:
    encode: Callable[[Picture], bytes] = lambda picture: cv2.imencode(".jpg", picture)[1].tobytes()  # noqa: E731
    file.write_bytes(b"".join(encode(picture) for picture in pictures))
    return file
