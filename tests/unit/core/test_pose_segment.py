"""What a browser reads of a run's poses is what the run has, within half a unit."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.core.pose_segment import DONE, MISSING, TO_COME, SegmentFrame, encode_segment, units_a_px
from pipeline.core.poses import FramePoses
from tests.support.packed_reader import read_segment
from tests.support.paths import ROOT

SIZE = (1280, 720)
_floats = st.floats(-3000, 3000, width=32)
_shares = st.floats(0, 1, width=32)


@st.composite
def _poses(draw: st.DrawFn, keypoints: int) -> FramePoses:
    people = draw(st.integers(0, 4))
    places = draw(arrays(np.float32, (people, keypoints, 2), elements=_floats))
    confidences = draw(arrays(np.float32, (people, keypoints, 1), elements=_shares))
    return FramePoses(
        draw(arrays(np.float32, people, elements=_shares)),
        draw(arrays(np.float32, (people, 4), elements=_floats)),
        np.concatenate([places, confidences], axis=2),
    )


@st.composite
def _segments(draw: st.DrawFn) -> list[SegmentFrame]:
    keypoints = draw(st.integers(1, 5))
    frame = st.one_of(
        st.builds(SegmentFrame, _poses(keypoints)),
        st.builds(SegmentFrame, st.none(), st.sampled_from(["not decoded", "given up"])),
        st.just(SegmentFrame(None)),
    )
    return draw(st.lists(frame, max_size=12))


@given(_segments())
@settings(deadline=None)
def test_every_pose_comes_back_within_half_a_unit(frames: list[SegmentFrame]) -> None:
    read = read_segment(encode_segment(frames, SIZE, {"run": "x"}))
    assert read.header["run"] == "x"
    assert len(read.people) == len(read.states) == len(frames)
    for frame, state, people in zip(frames, read.states, read.people, strict=True):
        if frame.missing is not None:
            assert read.header["reasons"][state - MISSING] == frame.missing
        else:
            assert state == (TO_COME if frame.poses is None else DONE)
        assert len(people) == len(frame.poses or ())
        for i, (score, box, points) in enumerate(people):
            assert frame.poses is not None
            assert score == pytest.approx(frame.poses.scores[i], abs=0.5001 / 255)
            assert box == pytest.approx(frame.poses.boxes_xyxy[i], abs=0.0626)
            assert points[:, :2] == pytest.approx(frame.poses.keypoints[i, :, :2], abs=0.0626)
            assert points[:, 2] == pytest.approx(frame.poses.keypoints[i, :, 2], abs=0.5001 / 255)


def _one(x: float, confidence: float = 1.0) -> SegmentFrame:
    return SegmentFrame(FramePoses([confidence], [[0, 0, x, 1]], [[[x, 0, confidence]]]))  # type: ignore[arg-type]


def test_coordinates_beyond_16_bits_lie_at_their_edge_and_are_no_other_place() -> None:
    read = read_segment(encode_segment([_one(1e9), _one(-1e9), _one(7)], SIZE, {}))
    assert [people[0][2][0, 0] for people in read.people] == [(2**15 - 1) / 8, -(2**15) / 8, 7]


def test_what_is_no_number_becomes_one() -> None:
    read = read_segment(encode_segment([_one(float("nan"), float("nan")), _one(float("inf"))], SIZE, {}))
    assert read.people[0][0][2].tolist() == [[0, 0, 0]]
    assert read.people[1][0][2][0, 0] == (2**15 - 1) / 8


@pytest.mark.parametrize(("size", "units"), [((640, 480), 8), ((2160, 3840), 8), ((7680, 4320), 4), ((16384, 9), 1)])
def test_a_large_picture_fits_into_16_bits(size: tuple[int, int], units: int) -> None:
    assert units_a_px(size) == units
    read = read_segment(encode_segment([_one(max(size))], size, {}))
    assert read.people[0][0][2][0, 0] == max(size)


def test_more_reasons_than_a_byte_holds_share_the_last() -> None:
    frames = [SegmentFrame(None, f"reason {i}") for i in range(300)]
    read = read_segment(encode_segment(frames, SIZE, {}))
    told = [read.header["reasons"][state - MISSING] for state in read.states]
    assert told[:254] == [frame.missing for frame in frames[:254]]
    assert set(told[254:]) == {"reason 253"}


def test_people_of_two_models_are_refused() -> None:
    other = SegmentFrame(FramePoses([1], [[0, 0, 1, 1]], np.zeros((1, 2, 3))))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keypoints"):
        encode_segment([_one(1), other], SIZE, {})


def test_a_pose_of_the_demo_takes_60_bytes() -> None:
    path = ROOT / "tests" / "data" / "demo-export-at-0005.jsonl.gz"
    lines: list[dict[str, Any]] = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    frames = [
        SegmentFrame(
            FramePoses(
                np.array([one["score"] for one in line["people"]]),
                np.array([one["box"] for one in line["people"]]).reshape(-1, 4),
                np.array([one["keypoints"] for one in line["people"]]).reshape(-1, 17, 3),
            )
        )
        for line in lines
    ]
    poses = sum(len(frame.poses or ()) for frame in frames)
    assert len(gzip.compress(encode_segment(frames, SIZE, {}), 6)) / poses < 64
