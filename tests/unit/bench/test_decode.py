"""`poseline bench decode` on a small clip, and the clips that benchmarks use."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from hashlib import sha256

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from pipeline.bench.baselines import plain_decode
from pipeline.bench.decode import measure_decode, sandboxed_decode
from pipeline.bench.figures import BenchFailed
from pipeline.bench.plain_decode import loop_clip
from pipeline.cli.main import main
from pipeline.core.frame_index import FrameIndex
from pipeline.core.video_limits import VideoLimits
from pipeline.video.reader import probe
from pipeline.video.source import open_source
from tests.benchmarks.sample_videos import make_clip

LIMITS = VideoLimits(max_pixels=10**6, max_frames=100, stall_s=20)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", width=256, height=144, frames=70)


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


def test_a_looped_clip_repeats_the_clip(clip, tmp_path):
    once, looped = decoded(clip), decoded(loop_clip(clip, tmp_path / "looped.mp4", 3))
    assert [time for time, _, _ in looped] == [Fraction(number, 30) for number in range(210)]
    assert [pixels for _, _, pixels in looped] == [pixels for _, _, pixels in once] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["looped.mp4"]


def test_both_decodes_see_every_frame(clip):
    with open_source(clip) as source:
        info = probe(source, LIMITS)
    plain = plain_decode(clip, 64)
    ours = sandboxed_decode(clip, info, LIMITS, 64)
    assert plain.frames == len(info.index) == 70
    assert plain.wall_s > 0
    assert plain.cpu_s > 0
    assert 0 < ours.parent_cpu_s < ours.wall_s


def test_a_missing_frame_fails_the_measurement(clip):
    with open_source(clip) as source:
        info = probe(source, LIMITS)
    index = info.index
    more = FrameIndex(
        time_base=index.time_base,
        pts=np.append(index.pts, index.pts[-1] + 1),
        keyframe=np.append(index.keyframe, False),
        position_bytes=np.append(index.position_bytes, -1),
        size_bytes=np.append(index.size_bytes, 0),
    )
    with pytest.raises(BenchFailed, match="70 of 71 frames"):
        sandboxed_decode(clip, dataclasses.replace(info, index=more), LIMITS, 64)


def test_figures_of_decoding(clip):
    steps = []
    decode, child, parent = measure_decode(clip, LIMITS, side_px=64, pairs=2, on_step=steps.append)
    assert [figure.name for figure in (decode, child, parent)] == ["decode_144p", "child_144p", "parent_144p"]
    assert len(decode.pairs) == len(parent.pairs) == 2
    ratios = sorted(ours / plain for ours, plain in decode.pairs)
    assert decode.outcome == pytest.approx(sum(ratios) / 2)
    assert decode.met is (decode.outcome >= 0.9)
    assert child.met is child.goal is None
    assert parent.baseline is None
    assert parent.met is (parent.ours < 0.3)
    assert steps == ["decoding at 144p, pair 1 of 2", "decoding at 144p, pair 2 of 2"]


def test_the_command_needs_no_stack(tmp_path, capsys):
    assert main(["--home", str(tmp_path), "bench", "decode", "--pairs", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("sandboxed decoding at 720p")
    assert list(tmp_path.iterdir()) == []
