"""Converts decoded frames to BGR as displayed, in square pixels, of one size for the whole video. Child side.

The order is fixed, since every step rounds: swscale to BGR, the rotation and mirroring of the display matrix, a resize
to the display size where the stored size differs, the letterbox of the model. Where the stored image is displayed as it
is, the result is bit for bit that of rtmlib on a plain decode.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, cast

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from pipeline.core.letterbox import Image, letterbox

#: A larger pixel aspect is an error in the file; no format has one.
MAX_PIXEL_ASPECT: Final = 4

_Step = Callable[[Image, Image | None], Image]

# Nine int32 in native byte order, row by row (libavutil/display.h): a b u, c d v, x y w.
_MATRIX = struct.Struct("=9i")


@dataclass(frozen=True)
class Orientation:
    """How a stored image becomes the displayed one: first rotated, then mirrored.

    Args:
        quarter_turns_ccw: 0 to 3, counter-clockwise.
        mirrored: horizontally, after the rotation.
    """

    quarter_turns_ccw: int = 0
    mirrored: bool = False


UNCHANGED: Final = Orientation()


def _unknown_type(value: object) -> Any:
    new: Any = object.__new__(Type)
    new._name_, new._value_ = f"TYPE_{value}", value
    return new


# PyAV 18.1 gives no side data of a frame that has any of a type unknown to it, such as a camera's Exif.
Type._missing_ = _unknown_type  # type: ignore[method-assign]


def orientation(frame: VideoFrame) -> Orientation:
    """The orientation by a frame's display matrix; unchanged without one."""
    try:
        matrix = cast("SideDataContainer", frame.side_data)[Type.DISPLAYMATRIX]
    except KeyError:
        return UNCHANGED
    return read_matrix(bytes(matrix))


def read_matrix(matrix: bytes) -> Orientation:
    """The nearest quarter turn, mirrored or not; unchanged for a matrix that is singular or truncated.

    FFmpeg's matrix takes a stored point `(x right, y down)` to `(a x + c y, b x + d y)`.
    """
    if len(matrix) < _MATRIX.size:
        return UNCHANGED
    a, b, _, c, d, *_ = _MATRIX.unpack_from(matrix)
    determinant = a * d - b * c
    if not determinant:
        return UNCHANGED
    mirrored = determinant < 0
    if mirrored:  # undo the mirroring, which comes last
        a, c = -a, -c
    clockwise = math.atan2(b - c, a + d)
    return Orientation(round(-clockwise / (math.pi / 2)) % 4, mirrored)


def display_size(width: int, height: int, transform: Orientation, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Width and height of a stored image as displayed, in square pixels.

    The aspect is of stored pixels, so it is applied before the rotation. One side is enlarged and none reduced, so no
    stored pixel is lost.

    Args:
        width: as stored.
        height: as stored.
        transform: from `orientation`.
        pixel_aspect: width by height of one stored pixel; None, or out of `[1/4, 4]`, counts as 1.
    """
    if pixel_aspect and Fraction(1, MAX_PIXEL_ASPECT) <= pixel_aspect <= MAX_PIXEL_ASPECT:
        if pixel_aspect > 1:
            width = _round(width * pixel_aspect)
        else:
            height = _round(height / pixel_aspect)
    return (height, width) if transform.quarter_turns_ccw % 2 else (width, height)


class FrameConverter:
    """Converts every frame of one video to one size.

    Args:
        size: width and height as displayed, from `display_size`. A frame of another size is resized to it.
        side: letterbox into a square of that many pixels; None for the whole image.
    """

    def __init__(self, size: tuple[int, int], side: int | None) -> None:
        self._size = size
        self._side = side
        self._to_bgr = VideoReformatter()
        #: Height and width of what `write` fills.
        self.shape: tuple[int, int] = (size[1], size[0]) if side is None else (side, side)

    def write(self, frame: VideoFrame, out: Image) -> None:
        """Fill `out`, uint8 BGR `(*shape, 3)`.

        Raises:
            ValueError: the image is too narrow for the square, or cannot be converted.
            av.FFmpegError: it cannot be converted.
        """
        image = _pixels(self._to_bgr.reformat(frame, format="bgr24", threads=1))
        steps: list[_Step] = []
        transform = orientation(frame)
        if transform != UNCHANGED:
            steps.append(_MOVES[transform])
        if display_size(frame.width, frame.height, transform, None) != self._size:
            steps.append(self._resize)
        for step in steps:
            # Without a letterbox the last step writes into `out`.
            image = step(image, out if self._side is None and step is steps[-1] else None)
        if self._side is not None:
            letterbox(image, self._side, out=out)
        elif image is not out:
            out[:] = image

    def _resize(self, image: Image, out: Image | None) -> Image:
        return cast("Image", cv2.resize(image, self._size, dst=out, interpolation=cv2.INTER_LINEAR))


def _pixels(frame: VideoFrame) -> Image:
    """uint8 `(h, w, 3)`, a view of a BGR frame's own memory, whose lines may be padded."""
    plane = frame.planes[0]
    if plane.line_size < 0:  # bottom up
        return cast("Image", frame.to_ndarray())
    shape, strides = (frame.height, frame.width, 3), (plane.line_size, 3, 1)
    return np.ndarray(shape, np.uint8, buffer=memoryview(plane), strides=strides)


def _round(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def _rotate(code: int) -> _Step:
    return lambda image, out: cast("Image", cv2.rotate(image, code, out))


def _flip(axis: int) -> _Step:
    return lambda image, out: cast("Image", cv2.flip(image, axis, out))


def _transpose(image: Image, out: Image | None) -> Image:
    return cast("Image", cv2.transpose(image, out))


def _transpose_across(image: Image, out: Image | None) -> Image:
    return cast("Image", cv2.rotate(cv2.transpose(image), cv2.ROTATE_180, out))


_MOVES: Final[dict[Orientation, _Step]] = {
    Orientation(1): _rotate(cv2.ROTATE_90_COUNTERCLOCKWISE),
    Orientation(2): _rotate(cv2.ROTATE_180),
    Orientation(3): _rotate(cv2.ROTATE_90_CLOCKWISE),
    Orientation(0, True): _flip(1),
    Orientation(1, True): _transpose_across,
    Orientation(2, True): _flip(0),
    Orientation(3, True): _transpose,
}
