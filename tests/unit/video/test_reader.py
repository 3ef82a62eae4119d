"""Frames as a model gets them: letterboxed, read-only, with correct colours, also of real and damaged files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.chunk_plan import plan_chunks
from pipeline.core.letterbox import letterbox
from pipeline.core.video_limits import VideoLimits
from pipeline.video.frame_pool import batch_for, slots_for
from pipeline.video.reader import VideoInfo, VideoReader, probe
from pipeline.video.source import ByteSource, open_source
from tests.support.paths import SHARED_CLIPS
from tests.support.plain_decode import digest, plain_images
from tests.support.video_cases import CASES
from tests.support.video_maker import decode_in_one_pass, make_video, shades

LIMITS = VideoLimits(max_pixels=4096 * 2304, max_frames=10_000, stall_s=20)


@pytest.fixture(params=SHARED_CLIPS or [None], ids=lambda path: path.stem if path else "none")
def clip(request) -> Path:
    if request.param is None:
        pytest.skip("no ../shared/clips")
    return request.param


def reader_of(source: ByteSource, info: VideoInfo) -> VideoReader:
    return VideoReader(source, info.index, info.size, LIMITS)


def pixels(
    source: ByteSource, info: VideoInfo, first: int = 0, stop: int | None = None, side: int | None = None
) -> Iterator[tuple[int, str]]:
    """Number and hash of each frame."""
    stop = len(info.index) if stop is None else stop
    for frame in reader_of(source, info).frames(first, stop, side):
        yield frame.number, digest(frame.image)


@pytest.mark.parametrize("side", [384, None])
def test_clip_equals_plain_decoding(clip, side):
    expected, expected_pts = [], []
    for pts, image in decode_in_one_pass(clip):
        expected.append(digest(image if side is None else letterbox(image, side)[0]))
        expected_pts.append(pts)
    with open_source(clip) as source:
        info = probe(source, LIMITS)
        assert info.index.pts.tolist() == expected_pts
        assert list(pixels(source, info, side=side)) == list(enumerate(expected))


@pytest.mark.parametrize("target_frames", [33, 120])
def test_clip_in_chunks(clip, target_frames):
    with open_source(clip) as source:
        info = probe(source, LIMITS)
        whole = list(pixels(source, info, side=384))
        pieces = []
        for chunk in plan_chunks(info.index, target_frames):
            pieces += pixels(source, info, chunk.first_frame, chunk.first_frame + chunk.frames, 384)
    assert pieces == whole


@pytest.mark.parametrize(
    "name", ["turned_90", "turned_270_mirrored", "odd_wide_pixels", "new_size_webm", "two_streams_mkv"]
)
@pytest.mark.parametrize("side", [64, 160, 416])
def test_the_model_gets_the_image_as_displayed(tmp_path, name, side):
    case = CASES[name]
    path = case.make(tmp_path)
    expected = [letterbox(image, side) for _, image in plain_images(path, case)]
    scale = min(side / case.size[0], side / case.size[1])
    with open_source(path) as source:
        info = probe(source, LIMITS)
        frames = 0
        for frame in reader_of(source, info).frames(0, len(info.index), side):
            np.testing.assert_array_equal(frame.image, expected[frame.number][0])
            assert frame.scale == expected[frame.number][1] == scale
            frames += 1
    assert frames == len(expected)


@pytest.mark.parametrize(
    "name", ["full_range", "limited_range", "ten_bit_h264", "ten_bit_422_h264", "422_h264", "prores", "mjpeg_avi"]
)
def test_black_is_black_and_white_is_white(tmp_path, name):
    with open_source(CASES[name].make(tmp_path)) as source:
        info = probe(source, LIMITS)
        for frame in reader_of(source, info).frames(1, 9):
            dark, bright = shades(frame.image)
            assert max(dark) < 10
            assert min(bright) > 245


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two_streams_mp4", "2 videos"),
        ("wide_pixels", "160 x 96 square pixels"),
        ("turned_90_mirrored", "mirrored"),
        ("missing_pts_avi", "put in order"),
    ],
)
def test_notes_for_the_uploader(tmp_path, name, message):
    with open_source(CASES[name].make(tmp_path)) as source:
        assert [note for note in probe(source, LIMITS).notes if message in note]


@pytest.mark.parametrize("name", ["h264_open_gop", "turned_0", "cover_mp4", "with_sound"])
def test_an_ordinary_video_has_no_notes(tmp_path, name):
    with open_source(CASES[name].make(tmp_path)) as source:
        assert probe(source, LIMITS).notes == ()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_the_rotation_is_reported(tmp_path, turns):
    with open_source(CASES[f"turned_{90 * turns}"].make(tmp_path)) as source:
        assert probe(source, LIMITS).rotation_deg == 90 * turns


def test_only_requested_frames_are_given_and_read_only(tmp_path):
    path = make_video(tmp_path / "v.mp4", 60, b_frames=2)
    with open_source(path) as source:
        info = probe(source, LIMITS)
        got = []
        for frame in reader_of(source, info).frames(17, 23, 64):
            assert not frame.image.flags.writeable
            assert frame.scale == 64 / 160
            got.append((frame.number, frame.pts))
        assert got == [(n, int(info.index.pts[n])) for n in range(17, 23)]
        assert not list(pixels(source, info, 5, 5))


def test_a_damaged_packet_costs_its_own_frames_only(tmp_path):
    path = make_video(tmp_path / "v.mp4", 60, codec="mjpeg", noise=True)
    with open_source(path) as source:
        info = probe(source, LIMITS)
        before = dict(pixels(source, info))
    data = bytearray(path.read_bytes())
    at, size = int(info.index.position_bytes[30]), int(info.index.size_bytes[30])
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    with open_source(path) as source:
        assert len(probe(source, LIMITS).index) == 60
        after = dict(pixels(source, info))
    assert after == {number: pixel for number, pixel in before.items() if number != 30}


@pytest.mark.parametrize("batch", [2, 7, 16])
def test_a_caller_may_hold_a_batch_while_the_next_is_decoded(tmp_path, batch):
    path = make_video(tmp_path / "numbered.mp4", frames=40)
    with open_source(path) as source:
        info = probe(source, LIMITS)
        alone = list(pixels(source, info))
        frames = reader_of(source, info).frames(0, 40, batch=batch)
        together = []
        while held := list(islice(frames, batch)):
            together += [(frame.number, digest(frame.image)) for frame in held]
    assert together == alone


@pytest.mark.parametrize("batch", [0, 127])
def test_a_batch_that_shared_memory_cannot_hold_is_refused(batch):
    with pytest.raises(ValueError, match="batch must be 1 to 126"):
        slots_for(batch)


def test_a_batch_of_very_large_frames_is_smaller():
    assert batch_for((640, 640), 32) == 32
    assert batch_for((1080, 1920), 8) == 8
    assert batch_for((2160, 3840), 8) == 2
    assert batch_for((4320, 8192), 8) == 1
