"""Frames as displayed: compared with numpy's rotations, with the formula of the display matrix, and with rtmlib's
own first step, a plain conversion to BGR."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from pipeline.core.letterbox import letterbox
from pipeline.video.frame_converter import (
    UNCHANGED,
    FrameConverter,
    Orientation,
    display_size,
    orientation,
    read_matrix,
)
from tests.support.video_maker import make_video, paint

ONE = 0x10000
# a, b, c, d of `(x, y) -> (a x + c y, b x + d y)`, and what that makes of a picture, in numpy's words.
ALL_EIGHT: dict[tuple[int, int, int, int], tuple[Orientation, Any]] = {
    (1, 0, 0, 1): (Orientation(0), lambda image: image),
    (0, -1, 1, 0): (Orientation(1), lambda image: np.rot90(image, 1)),
    (-1, 0, 0, -1): (Orientation(2), lambda image: np.rot90(image, 2)),
    (0, 1, -1, 0): (Orientation(3), lambda image: np.rot90(image, 3)),
    (-1, 0, 0, 1): (Orientation(0, True), np.fliplr),
    (0, -1, -1, 0): (Orientation(1, True), lambda image: np.fliplr(np.rot90(image, 1))),
    (1, 0, 0, -1): (Orientation(2, True), np.flipud),
    (0, 1, 1, 0): (Orientation(3, True), lambda image: image.transpose(1, 0, 2)),
}
# How Exif numbers the same, and as which matrix FFmpeg hands it on.
EXIF = {1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 4: (1, 0, 0, -1), 5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0)}


def matrix_of(a: float, b: float, c: float, d: float, order: str = "=") -> bytes:
    fixed = [round(value * ONE) for value in (a, b, 0, c, d, 0, 0, 0)]
    return struct.pack(f"{order}9i", *fixed, 1 << 30)


def orient_header(path: Path, matrix: bytes) -> Path:
    """Write a display matrix into an MP4's track header (ISO 14496-12, 8.3.2), big-endian."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    assert data[at] == 0, "version 0 of the box"
    data[at + 40 : at + 76] = matrix
    path.write_bytes(data)
    return path


def decode(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(container.streams.video[0]))


def plain(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="bgr24")


def moved(image: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """The formula of libavutil/display.h, pixel by pixel, shifted to where no coordinate is negative."""
    y, x = np.indices(image.shape[:2])
    to_x, to_y = a * x + c * y, b * x + d * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    result = np.zeros((to_y.max() + 1, to_x.max() + 1, 3), dtype=np.uint8)
    result[to_y, to_x] = image
    return result


def written(frame: av.VideoFrame, size: tuple[int, int], side: int | None = None) -> np.ndarray:
    converter = FrameConverter(size, side)
    out = np.random.default_rng(1).integers(0, 256, (*converter.shape, 3), dtype=np.uint8)
    converter.write(frame, out)
    return out


@pytest.mark.parametrize("abcd", ALL_EIGHT, ids=lambda abcd: "".join("-0+"[1 + value] for value in abcd))
def test_all_eight_orientations(tmp_path, abcd):
    path = make_video(tmp_path / "v.mp4", 3, width=160, height=96)
    stored = [plain(frame) for frame in decode(path)]
    orient_header(path, matrix_of(*abcd, order=">"))
    want, in_numpy = ALL_EIGHT[abcd]
    frames = decode(path)
    assert len(frames) == 3
    for frame, image in zip(frames, stored, strict=True):
        assert orientation(frame) == want
        expected = np.ascontiguousarray(in_numpy(image))
        np.testing.assert_array_equal(expected, moved(image, *abcd))
        size = display_size(160, 96, want, None)
        assert size == (expected.shape[1], expected.shape[0])
        np.testing.assert_array_equal(written(frame, size), expected)
        np.testing.assert_array_equal(written(frame, size, 64), letterbox(expected, 64)[0])
        # Turned, then stretched to what the video's first frame was.
        wide = cv2.resize(expected, (200, 100), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(written(frame, (200, 100)), wide)
        np.testing.assert_array_equal(written(frame, (200, 100), 64), letterbox(wide, 64)[0])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("angle_deg", "turns"), [(10, 0), (44, 0), (46, 1), (134, 1), (181, 2), (-46, 3), (350, 0)])
@pytest.mark.parametrize("stretch", [(1, 1), (3, 1), (0.25, 2)])
def test_the_nearest_quarter_turn(angle_deg, turns, mirrored, stretch):
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.array([[cos, sin], [-sin, cos]])  # counter-clockwise, where y points down
    move = np.diag(stretch) @ (np.diag([-1, 1]) if mirrored else np.eye(2)) @ turn
    (a, c), (b, d) = move
    assert read_matrix(matrix_of(a, b, c, d)) == Orientation(turns, mirrored)


@pytest.mark.parametrize(
    "matrix",
    [bytes(36), b"", matrix_of(1, 0, 0, 1)[:20], matrix_of(1, 1, 1, 1), matrix_of(0, 1, 0, 1), matrix_of(0, 0, 0, -1)],
)
def test_a_flat_matrix_asks_for_nothing(matrix):
    assert read_matrix(matrix) == UNCHANGED


@pytest.mark.parametrize("number", EXIF)
def test_a_camera_that_says_it_in_exif(tmp_path, number):
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, number, 0, 0)
    body = b"Exif\0\0" + tiff
    path = tmp_path / "v.avi"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuvj420p"
        for packet in stream.encode(av.VideoFrame.from_ndarray(paint(1, 160, 96), format="bgr24")):
            data = bytes(packet)
            with_exif = av.Packet(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
            with_exif.stream, with_exif.pts, with_exif.dts, with_exif.is_keyframe = stream, 0, 0, True
            container.mux(with_exif)
    (frame,) = decode(path)
    want, in_numpy = ALL_EIGHT[EXIF[number]]
    assert orientation(frame) == want
    np.testing.assert_array_equal(written(frame, display_size(160, 96, want, None)), in_numpy(plain(frame)))


@pytest.mark.parametrize(
    ("aspect", "turns", "size"),
    [
        (None, 0, (1440, 1080)),
        (Fraction(0), 0, (1440, 1080)),
        (Fraction(1), 1, (1080, 1440)),
        (Fraction(4, 3), 0, (1920, 1080)),
        (Fraction(4, 3), 1, (1080, 1920)),
        (Fraction(4, 3), 2, (1920, 1080)),
        (Fraction(16, 15), 0, (1536, 1080)),
        (Fraction(3, 4), 0, (1440, 1440)),
        (Fraction(3, 4), 3, (1440, 1440)),
        (Fraction(1, 2), 1, (2160, 1440)),
        (Fraction(10, 11), 0, (1440, 1188)),
        (Fraction(40, 33), 0, (1745, 1080)),  # 1745.45
        (Fraction(32, 27), 0, (1707, 1080)),  # 1706.67
        (Fraction(4), 0, (5760, 1080)),
        (Fraction(1, 4), 0, (1440, 4320)),
        (Fraction(401, 100), 0, (1440, 1080)),
        (Fraction(24, 100), 0, (1440, 1080)),
        (Fraction(-4, 3), 0, (1440, 1080)),
    ],
)
def test_display_size(aspect, turns, size):
    assert display_size(1440, 1080, Orientation(turns), aspect) == size
    assert display_size(1440, 1080, Orientation(turns, True), aspect) == size


def test_pixels_that_are_not_square_are_stretched_before_the_letterbox(tmp_path):
    path = make_video(tmp_path / "v.mp4", 2, width=160, height=96)
    for frame in decode(path):
        wide = cv2.resize(plain(frame), (213, 96), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(written(frame, (213, 96)), wide)
        np.testing.assert_array_equal(written(frame, (213, 96), 64), letterbox(wide, 64)[0])
        assert not np.array_equal(written(frame, (213, 96), 64), letterbox(plain(frame), 64)[0])


def test_a_change_of_size_in_mid_stream(tmp_path):
    """One `FrameConverter` for both sizes, as in one video."""
    small = decode(make_video(tmp_path / "a.mp4", 2, width=160, height=96))
    large = decode(make_video(tmp_path / "b.mp4", 2, width=320, height=200))
    converter = FrameConverter((160, 96), None)
    out = np.empty((96, 160, 3), dtype=np.uint8)
    for frame in (*small, *large, *small):
        converter.write(frame, out)
        expected = plain(frame)
        if frame.width != 160:
            expected = cv2.resize(expected, (160, 96), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(out, expected)


FORMATS = {
    "limited": ("libx264", "yuv420p", 1, {}),
    "full_range": ("libx264", "yuv420p", 2, {}),
    "jpeg_range": ("mjpeg", "yuvj420p", 2, {}),
    "4:2:2": ("libx264", "yuv422p", 1, {}),
    "4:4:4": ("libx264", "yuv444p", 1, {}),
    "10_bit": ("libx264", "yuv420p10le", 1, {}),
    "10_bit_4:2:2": ("prores_ks", "yuv422p10le", 1, {}),
    "10_bit_full": ("libx264", "yuv420p10le", 2, {}),
    "rgb": ("ffv1", "bgr0", 0, {}),
    "grey": ("ffv1", "gray", 0, {}),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [(160, 96), (162, 90), (98, 66)])  # lines of 480, 486 and 294 bytes
def test_pixel_formats_as_plain_pyav_converts_them(tmp_path, name, size):
    codec, pixel_format, color_range, options = FORMATS[name]
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV has no {codec}")
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.color_range = color_range
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(paint(1000 * number, *size), format="bgr24")
            frame = frame.reformat(format=pixel_format, dst_color_range=color_range)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames = decode(path)
    assert len(frames) == 4
    assert {frame.format.name for frame in frames} <= {pixel_format, "yuvj420p"}
    if color_range:
        assert {int(frame.color_range) for frame in frames} == {color_range}
    for frame in frames:
        np.testing.assert_array_equal(written(frame, size), plain(frame))
        np.testing.assert_array_equal(written(frame, size, 64), letterbox(plain(frame), 64)[0])
    assert all(not np.array_equal(plain(a), plain(b)) for a, b in pairwise(frames))


def test_a_picture_too_narrow_for_the_square_is_an_error(tmp_path):
    (frame,) = decode(make_video(tmp_path / "v.mp4", 1, width=160, height=96))
    with pytest.raises(ValueError, match="too narrow"):
        FrameConverter((2000, 16), 64).write(frame, np.empty((64, 64, 3), dtype=np.uint8))
