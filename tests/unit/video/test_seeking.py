"""Files with an unusual start, index or clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.core.chunk_plan import frames_to_decode, plan_chunks
from pipeline.core.video_limits import VideoLimits
from pipeline.video.reader import VideoInfo, VideoReader, probe
from pipeline.video.source import open_source
from tests.support.video_maker import decode_in_one_pass, make_video, read_number

LIMITS = VideoLimits(max_pixels=1 << 20, max_frames=10_000, stall_s=20)


def decode_chunks(path: Path, target_frames: int = 20, limits: VideoLimits = LIMITS) -> tuple[VideoInfo, list[int]]:
    """The probe's result, and the numbers painted in all frames of all chunks."""
    with open_source(path) as source:
        info = probe(source, limits)
        reader = VideoReader(source, info.index, info.size, limits)
        numbers = [
            read_number(frame.image)
            for plan in plan_chunks(info.index, target_frames)
            for frame in reader.frames(plan.first_frame, plan.first_frame + plan.frames)
        ]
    return info, numbers


def test_a_recording_that_begins_in_the_middle_of_a_long_gop(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.ts", 220, gop=100, b_frames=2, noise=True)
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 20 // 188 * 188 :])
    expected = [read_number(image) for _, image in decode_in_one_pass(path)]
    assert expected[0] == 100, "the keyframe at the start must be gone"
    info, numbers = decode_chunks(path)
    assert numbers == expected == list(range(100, 220))
    assert len(info.index) == 120


@pytest.mark.parametrize(("before_s", "frames"), [(2, 120), (1, 60), (3, 60)])
def test_a_clock_that_wraps_soon_is_no_truncation(tmp_path: Path, before_s: int, frames: int) -> None:
    first = (2**33 - before_s * 90_000) // 3000
    path = make_video(tmp_path / "v.ts", frames, pts=range(first, first + frames), time_base=Fraction(1, 30))
    info, numbers = decode_chunks(path)
    assert numbers == list(range(frames))
    assert info.notes == ()


def test_an_avi_without_its_index_has_one_keyframe_in_its_index(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.avi", 100, codec="mjpeg")
    whole, numbers = decode_chunks(path)
    assert whole.index.keyframe.all()
    assert len(plan_chunks(whole.index, 20)) == 5
    data = path.read_bytes()
    at = data.rindex(b"idx1")
    path.write_bytes(data[:at] + b"JUNK" + data[at + 4 :])
    info, again = decode_chunks(path)
    assert again == numbers == list(range(100))
    assert info.index.keyframe.sum() == 1
    assert frames_to_decode(plan_chunks(info.index, 20)) <= 125


@pytest.mark.parametrize("size", [bytes(4), b"\xff" * 4])
def test_an_avi_whose_recorder_died_is_accepted_as_it_is(tmp_path: Path, size: bytes) -> None:
    path = make_video(tmp_path / "v.avi", 100, codec="mjpeg")
    data = path.read_bytes()
    path.write_bytes(data[:4] + size + data[8 : len(data) * 3 // 5])
    _, numbers = decode_chunks(path)
    assert numbers == list(range(len(numbers)))
    assert 40 < len(numbers) < 80


@pytest.mark.parametrize(
    ("name", "codec"), [("v.mp4", "libx264"), ("v.webm", "libvpx-vp9"), ("v.avi", "mpeg4"), ("v.mov", "mjpeg")]
)
def test_a_frame_of_exactly_the_limit_is_accepted(tmp_path: Path, name: str, codec: str) -> None:
    path = make_video(tmp_path / name, 5, codec=codec, width=162, height=90)
    assert decode_chunks(path, limits=VideoLimits(max_pixels=162 * 90, max_frames=100, stall_s=20))[1] == list(range(5))
