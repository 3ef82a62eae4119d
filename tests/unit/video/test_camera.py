"""What a camera sends, decoded by real children: each picture under its own id, whatever comes in between."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import psutil
import pytest

from pipeline.errors import DecodeFailed, DecoderKilled
from pipeline.video import zygote_client
from pipeline.video.camera_decoder import CAMERA_LIMITS, SLOTS, CameraDecoder, NotDecoded, Picture
from tests.support.live import H264Camera, jpeg
from tests.support.video_maker import paint, read_number

SIZE = (160, 96)
SIDE = 416

Opened = Callable[..., CameraDecoder]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens decoders, which are closed after the test."""
    decoders: list[CameraDecoder] = []

    def open_one(codec: str, size: tuple[int, int] = SIZE, side: int | None = SIDE, **options: object) -> CameraDecoder:
        decoders.append(CameraDecoder(codec, size, side, **options))  # type: ignore[arg-type]
        return decoders[-1]

    yield open_one
    for decoder in decoders:
        decoder.close()


def number_in(decoder: CameraDecoder, found: Picture | NotDecoded, size: tuple[int, int] = SIZE) -> int:
    """The number in a picture, whose slot is released."""
    assert isinstance(found, Picture), found
    width, height = (int(side * found.scale) for side in size)
    number = read_number(found.image[:height, :width])
    decoder.release(found)
    return number


def why(found: Picture | NotDecoded) -> str:
    assert isinstance(found, NotDecoded), found
    return found.reason


def test_each_frame_of_a_video_gives_its_own_picture(opened: Opened) -> None:
    camera, decoder = H264Camera(), opened("h264")
    for number in (*range(1, 40), 65535):
        data, keyframe = camera.encode(number)
        assert number_in(decoder, decoder.decode(data, number + 7, keyframe=keyframe)) == number


def test_after_damage_a_keyframe_is_waited_for(opened: Opened) -> None:
    camera, decoder = H264Camera(), opened("h264")
    early, late = camera.encode(1), camera.encode(2)
    found = decoder.decode(late[0], 1, keyframe=False)
    assert (why(found), found) == ("waits for a keyframe", NotDecoded("waits for a keyframe", True))
    assert "no picture" in why(decoder.decode(late[0], 2, keyframe=True))  # it says that it is one, and is none
    assert number_in(decoder, decoder.decode(early[0], 3, keyframe=True)) == 1
    assert number_in(decoder, decoder.decode(late[0], 4, keyframe=False)) == 2
    damaged = decoder.decode(b"\0\0\0\1\x41" + os.urandom(50), 5, keyframe=False)
    assert isinstance(damaged, NotDecoded)
    assert damaged.needs_keyframe
    assert why(decoder.decode(camera.encode(3)[0], 6, keyframe=False)) == "waits for a keyframe"
    assert number_in(decoder, decoder.decode(camera.encode(4, keyframe=True)[0], 7, keyframe=True)) == 4


def test_frames_that_are_held_back_are_no_picture_of_another(opened: Opened) -> None:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = SIZE
    context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 30)
    context.options = {"bf": "2", "rc-lookahead": "4", "g": "12", "crf": "12"}
    coded: list[tuple[bytes, bool]] = []
    for number in range(24):
        frame = av.VideoFrame.from_ndarray(paint(number, *SIZE), format="bgr24")
        frame.pts = number
        coded += [(bytes(packet), bool(packet.is_keyframe)) for packet in context.encode(frame)]
    coded += [(bytes(packet), bool(packet.is_keyframe)) for packet in context.encode(None)]
    decoder = opened("h264")
    reasons = set()
    for id_, (data, keyframe) in enumerate(coded):
        found = decoder.decode(data, id_, keyframe=keyframe)
        if isinstance(found, Picture):
            decoder.release(found)
        else:
            reasons.add(found.reason)
    assert reasons & {"its picture came late; encode without B-frames and look-ahead", "it holds no picture"}


def test_each_jpeg_stands_for_itself(opened: Opened) -> None:
    decoder = opened("jpeg")
    assert number_in(decoder, decoder.decode(jpeg(5), 1, keyframe=True)) == 5
    for bad in (b"x", jpeg(6)[:40], b"\xff\xd8\xff\xd9", H264Camera().encode(6)[0], jpeg(6, 640, 360)[:9000]):
        found = decoder.decode(bad, 2, keyframe=True)
        assert isinstance(found, NotDecoded), len(bad)
        assert not found.needs_keyframe
        assert found.reason.isprintable()
    assert number_in(decoder, decoder.decode(jpeg(7), 3, keyframe=False)) == 7


def test_the_picture_may_change_its_size(opened: Opened) -> None:
    decoder = opened("jpeg")
    for size in (SIZE, (96, 160), (640, 360), SIZE):
        assert number_in(decoder, decoder.decode(jpeg(9, *size), 1, keyframe=True), size) == 9
    whole = opened("jpeg", side=None)
    found = whole.decode(jpeg(9), 1, keyframe=True)
    assert isinstance(found, Picture)
    assert (found.scale, found.image.shape) == (1.0, (96, 160, 3))
    assert read_number(found.image) == 9
    assert "begin a new session" in why(whole.decode(jpeg(9, 96, 160), 2, keyframe=True))


def test_what_is_too_large_or_too_narrow_is_refused(opened: Opened) -> None:
    small = replace(CAMERA_LIMITS, max_pixels=320 * 200)
    decoder = opened("jpeg", limits=small)
    assert why(decoder.decode(jpeg(1, 640, 360), 1, keyframe=True)) == "640 x 360 is too large; at most 64000 pixels"
    assert "cannot be converted" in why(decoder.decode(jpeg(1, 2000, 2), 2, keyframe=True))
    assert number_in(decoder, decoder.decode(jpeg(1), 3, keyframe=True)) == 1


def test_pictures_stay_as_they_are_until_they_are_released(opened: Opened) -> None:
    decoder = opened("jpeg")
    held = [decoder.decode(jpeg(number), number, keyframe=True) for number in range(SLOTS)]
    for number, picture in enumerate(held):
        assert number_in(decoder, picture) == number


def decode_often(decoder: CameraDecoder, data: bytes) -> None:
    for id_ in range(20):
        found = decoder.decode(data, id_, keyframe=True)
        if isinstance(found, Picture):
            decoder.release(found)


def test_a_frame_that_takes_too_long_ends_its_child_alone(opened: Opened) -> None:
    hasty, patient = opened("h264", limits=replace(CAMERA_LIMITS, max_cpu_s_per_frame=0.004)), opened("h264")
    camera = H264Camera(3840, 2160)
    data, _ = camera.encode(1)
    with pytest.raises(DecodeFailed, match="CPU time on one frame"):
        decode_often(hasty, data)
    assert number_in(patient, patient.decode(data, 1, keyframe=True), (3840, 2160)) == 1


def test_a_child_that_is_killed_or_hangs_is_found(opened: Opened) -> None:
    children = psutil.Process(zygote_client.zygote().pid).children
    before = {child.pid for child in children()}
    decoder = opened("jpeg", limits=replace(CAMERA_LIMITS, stall_s=0.5))
    assert number_in(decoder, decoder.decode(jpeg(1), 1, keyframe=True)) == 1
    [child] = [child for child in children() if child.pid not in before]
    child.send_signal(signal.SIGSTOP)
    with pytest.raises(DecodeFailed, match=r"sent nothing for 0\.5 s"):
        decoder.decode(jpeg(2), 2, keyframe=True)
    child.kill()
    with pytest.raises(DecoderKilled):
        decoder.decode(jpeg(3), 3, keyframe=True)


def test_random_bytes_end_nothing(opened: Opened) -> None:
    random = np.random.default_rng(7)
    for codec, good in (("h264", H264Camera().encode(3)[0]), ("jpeg", jpeg(3))):
        decoder = opened(codec)
        for id_ in range(60):
            data = bytearray(good)
            for at in random.integers(0, len(data), 1 + id_ % 9):
                data[at] = int(random.integers(256))
            found = decoder.decode(bytes(data), id_, keyframe=True)
            if isinstance(found, Picture):
                decoder.release(found)
        assert number_in(decoder, decoder.decode(good, 100, keyframe=True)) == 3
