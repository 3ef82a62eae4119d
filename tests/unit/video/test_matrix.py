"""Every kind of video comes out as one plain decode gives it, hash by hash, however it is cut into chunks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.frame_index import FrameIndex
from pipeline.core.video_limits import VideoLimits
from pipeline.video.reader import VideoInfo, VideoReader, probe
from pipeline.video.source import ByteSource, open_source
from tests.support.case_maker import Case
from tests.support.plain_decode import Shown, digest, plain_decode
from tests.support.video_cases import CASES

LIMITS = VideoLimits(max_pixels=1 << 20, max_frames=10_000, stall_s=20)
#: Where the container's times are missing, what is laid between its own may be off by this much.
SLACK_S = 0.02


@pytest.mark.parametrize("name", CASES)
def test_every_frame_once_whatever_the_plan(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = case.make(tmp_path)
    assert case.claim(path), "the file is not what it is named for"
    shown = list(plain_decode(path, case))
    check_numbers([frame.number for frame in shown], case)
    with open_source(path) as source:
        info = probe(source, LIMITS)
        assert info.size == case.size
        assert info.index.indexed_by_position == case.indexed_by_position
        check_times(info.index, shown, case)
        for first, stop in spans(info.index):
            assert_same(source, info, first, shown[first:stop])


def check_numbers(numbers: list[int], case: Case) -> None:
    """The file holds what was painted; the last frame before a cut may be half another."""
    if case.numbers is None:
        assert all(a < b for a, b in pairwise(numbers[:-1]))
    else:
        assert numbers == list(case.numbers)


def check_times(index: FrameIndex, shown: list[Shown], case: Case) -> None:
    """The index has a time for every frame: the container's where that can be, and the right one where it is known."""
    pts, given = index.pts.tolist(), [frame.pts for frame in shown]
    assert len(pts) == len(given)
    if None not in given and all(a <= b for a, b in pairwise(given)):  # type: ignore[operator]
        assert pts == given
    assert all((a <= b) if case.indexed_by_position else (a < b) for a, b in pairwise(pts))
    tick_s = float(index.time_base)
    if case.times_s is not None:
        slack_s = SLACK_S if case.indexed_by_position else 1.5 * tick_s
        np.testing.assert_allclose((index.pts - index.pts[0]) * tick_s, case.times_s, rtol=0, atol=slack_s)


def assert_same(source: ByteSource, info: VideoInfo, first: int, expected: list[Shown]) -> None:
    """Frames from `first` on are these, each once, in order, with the index's times."""
    index, stop = info.index, first + len(expected)
    frames = VideoReader(source, index, info.size, LIMITS).frames(first, stop)
    got = [(frame.number, frame.pts, digest(frame.image)) for frame in frames]
    want = [(first + i, int(index.pts[first + i]), frame.pixels) for i, frame in enumerate(expected)]
    assert got == want, f"frames {first} to {stop}"


def spans(index: FrameIndex) -> Iterator[tuple[int, int]]:
    """The chunks of plans from one chunk to one per keyframe, and of plans that cut between keyframes, each once."""
    n = len(index)
    keyframes = np.flatnonzero(index.keyframe).tolist()
    plans = [[0, n], [0, *keyframes, n], [*range(0, n, 17), n]]
    seen = {span for plan in plans for span in pairwise(plan) if span[0] < span[1]}
    yield from sorted(seen)
