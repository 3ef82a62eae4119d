"""Whatever codec, container, groups of pictures, times and chunk plan come together: every frame once, and its own.

With POSELINE_SOAK set to a number, so many examples are drawn at random instead of the same few.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pipeline.core.chunk_plan import plan_chunks
from pipeline.core.frame_index import FrameIndex
from pipeline.core.video_limits import VideoLimits
from pipeline.video.reader import probe
from pipeline.video.source import open_source
from tests.support.case_maker import Case
from tests.support.plain_decode import plain_decode
from tests.support.video_maker import make_video
from tests.unit.video.test_matrix import assert_same

LIMITS = VideoLimits(max_pixels=1 << 20, max_frames=10_000, stall_s=60)
SOAK = int(os.environ.get("POSELINE_SOAK") or 0)

#: Containers that carry each codec, and whether it reorders frames.
CODECS = {
    "libx264": ((".mp4", ".mov", ".mkv", ".ts", ".avi"), True),
    "libx265": ((".mp4", ".mkv", ".ts"), True),
    "mpeg4": ((".mp4", ".mkv", ".avi", ".ts"), True),
    "mpeg2video": ((".ts", ".mpg", ".mkv"), True),
    "libvpx-vp9": ((".webm", ".mp4"), False),
    "libvpx": ((".webm",), False),
    "libsvtav1": ((".mp4", ".webm"), False),
    "mjpeg": ((".avi", ".mov", ".mkv"), False),
    "prores_ks": ((".mov",), False),
    "ffv1": ((".mkv",), False),
}


@dataclass(frozen=True)
class Draw:
    """What to encode, and where to cut it. `steps` are the times between frames, in `time_base`."""

    codec: str
    suffix: str
    gop: int
    b_frames: int
    open_gop: bool
    fragmented: bool
    steps: tuple[int, ...]
    time_base: Fraction
    offset_s: int
    cuts: tuple[int, ...]
    target_frames: int


@st.composite
def draws(draw: st.DrawFn) -> Draw:
    codec = draw(st.sampled_from(sorted(CODECS)))
    suffixes, reorders = CODECS[codec]
    suffix = draw(st.sampled_from(suffixes))
    steady = suffix in (".avi", ".mpg")  # these know frame rates, not times
    frames = draw(st.integers(1, 72))
    step = st.just(1) if steady or draw(st.booleans()) else st.integers(1, 9)
    return Draw(
        codec=codec,
        suffix=suffix,
        gop=draw(st.integers(2, 40)),
        b_frames=draw(st.integers(0, 4)) if reorders else 0,
        open_gop=reorders and draw(st.booleans()),
        fragmented=suffix in (".mp4", ".mov") and draw(st.booleans()),
        steps=tuple(draw(st.lists(step, min_size=frames - 1, max_size=frames - 1))),
        time_base=Fraction(1, 30) if steady or codec == "mpeg2video" else draw(st.sampled_from(_TIME_BASES)),
        offset_s=0 if steady else draw(st.sampled_from([0, 0, 2, 3600])),
        cuts=tuple(sorted(draw(st.sets(st.integers(1, frames), max_size=4)))),
        target_frames=draw(st.integers(1, 40)),
    )


_TIME_BASES = [Fraction(1, 24), Fraction(1, 30), Fraction(1001, 30_000), Fraction(1, 90), Fraction(1, 240)]


@settings(
    max_examples=SOAK or 25,
    derandomize=not SOAK,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(draws())
def test_every_frame_once_and_its_own(drawn: Draw) -> None:
    case = Case(make=lambda _: Path(), claim=lambda _: True)
    with tempfile.TemporaryDirectory(prefix="poseline-test-") as folder:
        path = encode(Path(folder), drawn)
        shown = list(plain_decode(path, case))
        n = len(drawn.steps) + 1
        assert [frame.number for frame in shown] == list(range(n))
        with open_source(path) as source:
            info = probe(source, LIMITS)
            event(f"indexed_by_position: {info.index.indexed_by_position}")
            assert info.size == case.size
            assert len(info.index) == n
            check_times(info.index, [frame.pts for frame in shown], drawn)
            bounds = {0, *drawn.cuts, n}
            planned = [plan.first_frame for plan in plan_chunks(info.index, drawn.target_frames)]
            spans = {*pairwise(sorted(bounds)), *list(pairwise([*planned, n]))[:4]}
            for first, stop in sorted(spans):
                assert_same(source, info, first, shown[first:stop])


def check_times(index: FrameIndex, shown_pts: list[int | None], drawn: Draw) -> None:
    """The index's times are the container's where these tell frames apart, and in any case those that were drawn."""
    pts = index.pts.tolist()
    assert all(a <= b for a, b in pairwise(pts))
    if not index.indexed_by_position:
        assert pts == shown_pts
    want_s = [float(at * drawn.time_base) for at in accumulate(drawn.steps, initial=0)]
    tick_s = float(index.time_base)
    # A program stream need not give every frame a time, and FFmpeg guesses what is missing.
    slack_s = 2 / 30 if drawn.suffix == ".mpg" else 1.5 * tick_s
    np.testing.assert_allclose((index.pts - index.pts[0]) * tick_s, want_s, rtol=0, atol=slack_s)


def encode(folder: Path, drawn: Draw) -> Path:
    """The drawn video, painted 0, 1, 2 ..."""
    codec = drawn.codec
    options: dict[str, Any] = {"b_frames": drawn.b_frames}
    more: dict[str, str] = {}
    group = f"keyint={drawn.gop}:bframes={drawn.b_frames}:b-adapt=0:open-gop={int(drawn.open_gop)}"
    if codec == "libx264":
        more = {"preset": "ultrafast", "x264-params": group}
    elif codec == "libx265":
        more = {"preset": "ultrafast", "x265-params": f"log-level=none:{group}:min-keyint={min(2, drawn.gop)}"}
    elif codec == "libsvtav1":
        more = {"preset": "12", "svtav1-params": f"keyint={drawn.gop}"}
    elif codec.startswith("libvpx"):
        more = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "20", "b": "100k"}
    elif not drawn.open_gop and codec in ("mpeg4", "mpeg2video"):
        more = {"flags": "+cgop", "sc_threshold": "1000000000"}
    movflags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if drawn.fragmented else None
    first = int(drawn.offset_s / drawn.time_base)
    return make_video(
        folder / f"video{drawn.suffix}",
        len(drawn.steps) + 1,
        codec=codec,
        gop=drawn.gop,
        pts=list(accumulate(drawn.steps, initial=first)),
        time_base=drawn.time_base,
        options=more,
        container_options=movflags,
        **options,
    )
