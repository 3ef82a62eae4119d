"""What one video may take: pixels, frames, duration, streams, memory, CPU time."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest

from pipeline.core.video_limits import VideoLimits
from pipeline.errors import DecodeFailed, VideoRejected
from pipeline.video import zygote_client
from pipeline.video.demux import Unreadable, check_duration, check_times, clock
from pipeline.video.lockdown import OPENING_FRAMES
from pipeline.video.reader import Frame, VideoInfo, VideoReader, probe
from pipeline.video.source import open_source
from tests.support.video_maker import make_video

LIMITS = VideoLimits(max_pixels=4096 * 2304, max_frames=10_000, stall_s=20)


def index(path: Path, limits: VideoLimits = LIMITS) -> VideoInfo:
    with open_source(path) as source:
        return probe(source, limits)


def reason(path: Path, limits: VideoLimits = LIMITS) -> str:
    with pytest.raises(VideoRejected) as caught:
        index(path, limits)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200
    return caught.value.message


def frames(path: Path, info: VideoInfo, limits: VideoLimits, side: int | None = 384) -> list[Frame]:
    with open_source(path) as source:
        return list(VideoReader(source, info.index, info.size, limits).frames(0, len(info.index), side))


def test_memory(tmp_path: Path) -> None:
    """A lack of memory is an error of its own: FFmpeg reports it as damage, which would pass for missing frames."""
    path = make_video(tmp_path / "v.mp4", 6, width=3840, height=2160, options={"preset": "ultrafast"})
    enough = replace(LIMITS, memory_bytes=512 << 20)
    info = index(path, enough)
    assert len(frames(path, info, enough)) == 6
    for memory_mib in (*np.arange(1, 17) / 128, 1, 24, 48, 64, 80):
        with pytest.raises(DecodeFailed, match=f"{int(memory_mib)} MiB of memory"):
            frames(path, info, replace(LIMITS, memory_bytes=int(memory_mib * 2**20)))
    assert "more than 16 MiB of memory; export it" in reason(path, replace(LIMITS, memory_bytes=16 << 20))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the CPU time of children that ended")
def test_cpu_time_is_limited_frame_by_frame(tmp_path: Path) -> None:
    """All frames together take more than the limit of one, also more than the opening may take.

    The limit is measured, since what a frame takes depends on the machine, above all on how fast it maps new memory.
    One frame over the limit is in `test_compromised_decoder`.
    """
    path = make_video(tmp_path / "v.mp4", 450)
    info = index(path)
    before_s = children_cpu_s()
    assert len(frames(path, info, LIMITS, side=2000)) == 450
    limits = replace(LIMITS, max_cpu_s_per_frame=(children_cpu_s() - before_s) / (OPENING_FRAMES + 2))
    assert len(frames(path, info, limits, side=2000)) == 450


def children_cpu_s() -> float:
    """CPU time of all decoder children that have ended."""
    times = psutil.Process(zygote_client.zygote().pid).cpu_times()
    return float(times.children_user + times.children_system)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_pixels(tmp_path: Path, name: str) -> None:
    path = make_video(tmp_path / name, 4, width=640, height=480)
    tight = replace(LIMITS, max_pixels=640 * 479)
    message = reason(path, tight)
    assert "640 x 480" in message
    assert "export it smaller" in message
    info = index(path)
    with pytest.raises(DecodeFailed, match="640 x 480"):
        frames(path, info, tight)


def test_frames(tmp_path: Path) -> None:
    path = make_video(tmp_path / "v.mp4", 30)
    assert "more than 29 frames" in reason(path, replace(LIMITS, max_frames=29))
    assert len(index(path, replace(LIMITS, max_frames=30)).index) == 30


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.avi"])
def test_duration(tmp_path: Path, name: str) -> None:
    codec = "mpeg4" if name == "v.avi" else None
    path = make_video(tmp_path / name, 90, **({"codec": codec} if codec else {}))
    message = reason(path, replace(LIMITS, max_duration_s=2.5))
    assert message.startswith("This video lasts 0:0")
    assert "at most 0:02 is allowed; cut it into shorter ones" in message
    assert len(index(path, replace(LIMITS, max_duration_s=3.1)).index) == 90


@pytest.mark.parametrize(("name", "sounds"), [("v.mp4", 3), ("v.mkv", 3), ("v.ts", 3), ("v.mp4", 200), ("v.mkv", 200)])
def test_streams(tmp_path: Path, name: str, sounds: int) -> None:
    path = with_sounds(tmp_path / name, sounds)
    if sounds == 3:
        assert len(index(path, replace(LIMITS, max_streams=4)).index) == 5
    assert reason(path, replace(LIMITS, max_streams=3)) == (
        "This file holds more than 3 streams; export it with one video and one audio stream."
    )


@pytest.mark.parametrize(
    ("first", "last", "time_base", "message"),
    [
        (-(2**62), 0, Fraction(1, 2**31 - 1), "are invalid"),
        (0, 2**62, Fraction(1, 2**31 - 1), "are invalid"),
        (0, 9, None, "are invalid"),
        (0, 2**60, Fraction(1, 10**9), "lasts more than 30 years"),
        (0, 1, Fraction(2**31 - 1, 1), "lasts more than 30 years"),
        (0, 86_401, Fraction(1), "lasts 24:00:01 by its times, at most 24:00:00 is allowed"),
    ],
)
def test_times(first: int, last: int, time_base: Fraction | None, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        check_times(first, last, time_base, LIMITS)


def test_times_of_a_camera_that_counts_from_1970() -> None:
    check_times(1_800_000_000 * 90_000, 1_800_000_100 * 90_000, Fraction(1, 90_000), LIMITS)
    check_duration(86_400, LIMITS)
    assert clock(float("inf")) == "more than 30 years"


def with_sounds(path: Path, sounds: int) -> Path:
    """Five frames and that many silent sound streams."""
    with av.open(str(path), "w") as container:
        picture: Any = container.add_stream("mpeg4", rate=30)
        picture.width, picture.height, picture.pix_fmt = 160, 96, "yuv420p"
        streams: list[Any] = [container.add_stream("aac", rate=8000, layout="mono") for _ in range(sounds)]
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((96, 160, 3), np.uint8), format="bgr24")
            frame.pts = number
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        for stream in streams:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 8000, 0
            container.mux([*stream.encode(silence), *stream.encode(None)])
    return path
