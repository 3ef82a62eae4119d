"""A decoder child's memory does not grow with the number of frames."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import psutil
import pytest

from pipeline.core.video_limits import VideoLimits
from pipeline.video import zygote_client
from pipeline.video.reader import VideoReader, probe
from pipeline.video.source import open_source
from tests.benchmarks.sample_videos import make_clip

LIMITS = VideoLimits(max_pixels=4096 * 2304, max_frames=10_000, stall_s=20)
FEW, MANY = 60, 220
PICTURE_MB = 1280 * 720 * 1.5 / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="counts pages as Linux does")
def test_memory_of_frames_is_freed(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip, width=1280, height=720, frames=MANY + 20, crf=30)
    with open_source(clip) as source:
        info = probe(source, LIMITS)
        before = {child.pid for child in psutil.Process(zygote_client.zygote().pid).children()}
        frames = VideoReader(source, info.index, info.size, LIMITS).frames(0, MANY + 20, 384)
        list(islice(frames, FEW))
        (child,) = [c for c in psutil.Process(zygote_client.zygote().pid).children() if c.pid not in before]
        few_mb = private_mb(child.pid)
        list(islice(frames, MANY - FEW))
        grown_mb = private_mb(child.pid) - few_mb
        frames.close()  # type: ignore[attr-defined]
    assert grown_mb < 20 * PICTURE_MB, f"{MANY - FEW} more frames took {grown_mb:.0f} MB"


def private_mb(pid: int) -> float:
    """What a process alone has written to."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the kernel does not report it")
