"""Pictures for a live session: read from a file at their own times, made smaller, encoded, and decoded again."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from pipeline.core.live_protocol import Codec
from pipeline.errors import UsageError, VideoRejected
from pipeline.video.camera_encoder import build_encoder
from pipeline.video.camera_source import open_camera
from tests.support.paths import DEMO_CLIP
from tests.support.video_maker import make_video, paint, read_number


def test_a_file_gives_each_picture_at_its_own_time(tmp_path: Path) -> None:
    video = make_video(tmp_path / "numbers.mp4", 12)
    with open_camera(video, 640) as camera:
        pictures = list(camera.pictures)
        assert (camera.width, camera.height, camera.scale) == (160, 96, (1.0, 1.0))
    assert [read_number(picture.image) for picture in pictures] == list(range(12))
    assert [picture.number for picture in pictures] == list(range(12))
    due = [picture.due_s or 0.0 for picture in pictures]
    assert due[0] == 0
    assert np.diff(due) == pytest.approx(np.full(11, 1 / camera.fps), rel=0.2)


def test_large_pictures_are_made_smaller_with_even_sides() -> None:
    with open_camera(DEMO_CLIP, 301) as camera:
        picture = next(camera.pictures)
    assert picture.image.shape == (camera.height, camera.width, 3)
    assert camera.width <= 302
    assert camera.width % 2 == camera.height % 2 == 0


@pytest.mark.parametrize(("made", "error"), [("missing", UsageError), ("folder", UsageError), ("text", VideoRejected)])
def test_what_is_no_camera_is_refused(tmp_path: Path, made: str, error: type[Exception]) -> None:
    path = tmp_path / "camera"
    if made == "folder":
        path.mkdir()
    elif made == "text":
        path.write_text("no video")
    with pytest.raises(error), open_camera(path, 640):
        pass


def test_a_device_that_is_no_camera_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="/dev/null gives no pictures") as refused, open_camera(Path("/dev/null"), 640):
        pass
    assert "\n" not in str(refused.value)


def test_video_is_decoded_at_once_and_keyframes_come_when_asked_for() -> None:
    encoder = build_encoder(Codec.H264, 160, 96, 30.0)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = {"flags": "low_delay"}
    decoder.thread_count = 1
    keyframes = []
    for number in range(1, 20):
        data, is_keyframe = encoder.encode(paint(number, 160, 96), keyframe=number in {1, 9})
        if is_keyframe:
            keyframes.append(number)
            assert data[4] & 31 in {6, 7, 9}, "SPS and PPS in band, before the picture"
        (frame,) = decoder.decode(av.Packet(data))
        assert read_number(frame.to_ndarray(format="bgr24")) == number
    assert keyframes == [1, 9]


def test_a_jpeg_is_a_keyframe_always() -> None:
    data, is_keyframe = build_encoder(Codec.JPEG, 160, 96, 30.0).encode(paint(77, 160, 96), keyframe=False)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert is_keyframe
    assert image is not None
    assert read_number(image) == 77  # type: ignore[arg-type]
