"""The expected frames, made without Poseline: one sequential decode by PyAV, converted to frames as displayed.

The order of steps is the documented one: swscale to BGR, rotation and mirroring, a resize to the display size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer

from tests.support.case_maker import Case
from tests.support.video_claims import real_streams
from tests.support.video_maker import Image, read_number, stand


@dataclass(frozen=True)
class Shown:
    """One frame of a plain decode: the container's pts, the number painted on it, a hash of the whole image."""

    pts: int | None
    number: int
    pixels: str


def plain_decode(path: Path, case: Case) -> Iterator[Shown]:
    """Every frame in the order of display."""
    for pts, image in plain_images(path, case):
        yield Shown(pts, read_number(image), digest(image))


def plain_images(path: Path, case: Case) -> Iterator[tuple[int | None, Image]]:
    """pts and image as displayed, uint8 BGR."""
    with av.open(str(path)) as container:
        stream = real_streams(container)[case.stream]
        stream.codec_context.thread_count = 1  # the concealment of damaged frames depends on it
        for frame in _frames(container, stream):
            image = stand(frame.to_ndarray(format="bgr24"), case.turn)  # type: ignore[arg-type]
            if image.shape[1::-1] != case.size:
                image = cv2.resize(image, case.size, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
            yield frame.pts, image


def _frames(container: InputContainer, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.InvalidDataError:  # the piece of a frame at the end of a file that was cut off
            continue


def digest(image: Image) -> str:
    """Of the pixels, whatever their layout in memory."""
    return hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).hexdigest()
