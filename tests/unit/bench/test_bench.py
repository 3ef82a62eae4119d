"""What `poseline bench decode` measures with: its videos, its pairs, and its two decodes, on small sizes."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from hashlib import sha256

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from pipeline.bench import decode as decoding
from pipeline.bench.decode import Size, bench_decode
from pipeline.bench.measure import BenchFailed, decode_behind_the_wall, in_turn
from pipeline.cli.main import main
from pipeline.core.frame_index import FrameIndex
from pipeline.core.video_limits import VideoLimits
from pipeline.services.system import build_system
from pipeline.settings import Settings
from pipeline.video.reader import probe
from pipeline.video.sample import loop_clip, make_clip
from pipeline.video.source import open_source
from pipeline.video.yardstick import decode_plainly

SMALL = Size(pairs=2, heights=(144,), frames=30)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", width=256, height=144, frames=70)


@pytest.fixture
def system(tmp_path):
    """Settings of servers that are not there: decoding alone needs none."""
    nowhere = Settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        broker_url="redis://127.0.0.1:1/0",
        s3_endpoint="http://127.0.0.1:1",
        s3_access_key="none",
        s3_secret_key="none",
        home=tmp_path,
    )
    system = build_system(nowhere)
    yield system
    system.close()


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [
            (
                frame.pts * stream.time_base,
                PictureType(frame.pict_type).name,
                sha256(frame.to_ndarray()).hexdigest(),
            )
            for frame in container.decode(stream)
        ]


def test_the_clip_moves_and_has_b_frames(clip):
    frames = decoded(clip)
    assert [time for time, _, _ in frames] == [Fraction(number, 30) for number in range(70)]
    assert {kind for _, kind, _ in frames} == {"I", "P", "B"}
    assert frames[60][1] == "I"
    assert len({pixels for _, _, pixels in frames}) == 70


def test_a_looped_clip_is_the_clip_again_and_again(clip, tmp_path):
    once, looped = decoded(clip), decoded(loop_clip(clip, tmp_path / "looped.mp4", 3))
    assert [time for time, _, _ in looped] == [Fraction(number, 30) for number in range(210)]
    assert [pixels for _, _, pixels in looped] == [pixels for _, _, pixels in once] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["looped.mp4"]


def test_pairs_are_taken_in_turn():
    order = []
    for number in range(3):
        pair = in_turn(number, lambda: order.append("ours") or "ours", lambda: order.append("plain") or "plain")
        assert pair == ("ours", "plain")
    assert order == ["ours", "plain", "plain", "ours", "ours", "plain"]


def test_both_decodes_see_every_frame(clip, system):
    with open_source(clip) as source:
        info = probe(source, system.limits)
    plain = decode_plainly(clip, 64)
    ours = decode_behind_the_wall(system, clip, info, 64)
    assert plain.frames == len(info.index) == 70
    assert plain.wall_s > 0
    assert plain.cpu_s > 0
    assert 0 < ours.parent_cpu_s < ours.wall_s


def test_a_frame_that_the_child_does_not_give_is_no_speed(clip, system):
    with open_source(clip) as source:
        info = probe(source, VideoLimits(max_pixels=10**6, max_frames=100, stall_s=20))
    index = info.index
    more = FrameIndex(
        time_base=index.time_base,
        pts=np.append(index.pts, index.pts[-1] + 1),
        keyframe=np.append(index.keyframe, False),
        position_bytes=np.append(index.position_bytes, -1),
        size_bytes=np.append(index.size_bytes, 0),
    )
    with pytest.raises(BenchFailed, match="70 of 71 frames"):
        decode_behind_the_wall(system, clip, dataclasses.replace(info, index=more), 64)


def test_figures_of_decoding(system, monkeypatch):
    steps = []
    decode, child, parent = bench_decode(system, parts=["decode"], size=SMALL, on_step=steps.append)
    assert [figure.name for figure in (decode, child, parent)] == ["decode_144p", "child_144p", "parent_144p"]
    assert len(decode.pairs) == len(parent.pairs) == 2
    ratios = sorted(ours / plain for ours, plain in decode.pairs)
    assert decode.outcome == pytest.approx(sum(ratios) / 2)
    assert decode.ours == pytest.approx(sum(ours for ours, _ in decode.pairs) / 2)
    assert decode.met is (decode.outcome >= 0.9)
    assert child.met is child.goal is None
    assert parent.against is None
    assert parent.met is (parent.ours < 0.3)
    # The clip is made once; a goal that cannot be met is not.
    assert steps[0] == "making a video of 256 x 144"
    assert len(list((system.settings.scratch_path).iterdir())) == 1
    monkeypatch.setattr(decoding, "LEAST_SHARE", 1e9)
    monkeypatch.setattr(decoding, "MOST_PARENT_MS", 0.0)
    steps.clear()
    decode, _, parent = bench_decode(system, parts=["decode"], size=SMALL, on_step=steps.append)
    assert decode.met is parent.met is False
    assert all(step.startswith("decoding at 144p") for step in steps)


def test_without_a_stack_it_says_so_in_one_line(tmp_path, capsys):
    assert main(["--home", str(tmp_path), "bench", "decode"]) == 2
    assert capsys.readouterr().err == "poseline: the local stack is not running; `poseline up` starts it\n"
