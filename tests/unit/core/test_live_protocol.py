"""The messages of live sessions: they come back as they were sent, and whatever else comes is refused in one line."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.live_protocol import (
    FRAME,
    MAX_MESSAGE_BYTES,
    BadMessage,
    Bye,
    Clock,
    Codec,
    Frame,
    Hello,
    Mode,
    ModeWish,
    read_client,
    read_frame,
    read_object,
    to_text,
)
from pipeline.core.live_results import RESULT, Fate, Result
from pipeline.core.poses import FramePoses

times = st.floats(-1e12, 1e12)
stages = st.floats(0, 1e6, width=32)
hellos = st.builds(
    Hello,
    codec=st.sampled_from(Codec),
    width=st.integers(16, 4096),
    height=st.integers(16, 2040),
    mode=st.sampled_from((Mode.FULL, Mode.HYBRID)),
    fps=st.floats(1, 240),
    name=st.text(st.characters(categories=("L", "N")), max_size=200),
)
frames = st.builds(
    Frame, st.integers(0, 2**32 - 1), st.booleans(), times, stages, stages, st.binary(min_size=1, max_size=99)
)


@given(hellos)
def test_a_hello_comes_back(hello: Hello) -> None:
    assert read_client(hello.to_text()) == hello


@given(frames)
def test_a_frame_comes_back(frame: Frame) -> None:
    assert read_client(frame.to_bytes()) == frame


@given(times, st.sampled_from((Mode.FULL, Mode.HYBRID)), st.integers(0, 2**32 - 1))
def test_the_other_messages_come_back(sent_ms: float, mode: Mode, count: int) -> None:
    assert read_client(to_text("clock", sent_ms=sent_ms)) == Clock(sent_ms)
    assert read_client(to_text("mode", mode=mode)) == ModeWish(mode)
    assert read_client(to_text("bye", captured=count, dropped=0, sent=1)) == Bye(count, 0, 1)


@given(st.integers(0, 20), st.sampled_from((17, 26, 133)), st.integers(0, 2**32 - 1), st.integers(0, 2**32))
def test_a_result_comes_back_to_a_sixteenth_of_a_pixel(people: int, keypoints: int, id_: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    poses = FramePoses(
        random.random(people).astype(np.float32),
        random.uniform(-50, 4000, (people, 4)).astype(np.float32),
        (random.random((people, keypoints, 3)) * (4000, 3000, 1)).astype(np.float32),
    )
    sent = Result(id_, Fate.ANALYSED, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7, poses)
    data = sent.to_bytes()
    assert len(data) == RESULT.size + people * (9 + 5 * keypoints)
    got = Result.from_bytes(data)
    assert (got.id, got.fate, got.captured_at_ms, got.received_at_ms, got.sent_at_ms) == (id_, sent.fate, 1.5, 2.5, 3.5)
    assert (got.decode_ms, got.wait_ms, got.process_ms, got.batch) == (4.5, 5.5, 6.5, 7)
    assert got.poses is not None
    assert len(got.poses) == people
    if people:
        assert np.abs(got.poses.keypoints[..., :2] - poses.keypoints[..., :2]).max() <= 1 / 16 + 1e-3
        assert np.abs(got.poses.boxes_xyxy - poses.boxes_xyxy).max() <= 1 / 16 + 1e-3
        assert np.abs(got.poses.keypoints[..., 2] - poses.keypoints[..., 2]).max() <= 1 / 510 + 1e-6
        assert np.abs(got.poses.scores - poses.scores).max() <= 1 / 510 + 1e-6


def test_what_is_no_number_or_out_of_the_picture_is_bounded() -> None:
    keypoints = np.full((1, 17, 3), np.nan, np.float32)
    keypoints[0, 1] = (np.inf, -1e9, 3)
    poses = FramePoses([np.nan], [[0, -np.inf, 1e9, 5]], keypoints)  # type: ignore[arg-type]
    got = Result.from_bytes(Result(1, Fate.ANALYSED, 0, 0, 0, poses=poses).to_bytes()).poses
    assert got is not None
    assert np.isfinite(got.keypoints).all()
    assert got.keypoints[0, 1].tolist() == [4095.875, -4095.875, 1]


@pytest.mark.parametrize("fate", [Fate.SUPERSEDED, Fate.FAILED])
def test_a_frame_without_poses_says_why(fate: Fate) -> None:
    got = Result.from_bytes(Result(9, fate, 1, 2, 3, reason="it holds no picture").to_bytes())
    assert (got.id, got.fate, got.poses) == (9, fate, None)
    assert got.reason == ("it holds no picture" if fate is Fate.FAILED else "")


def test_more_people_than_a_message_holds_are_left_out() -> None:
    count = 20_000
    poses = FramePoses(
        np.ones(count, np.float32), np.zeros((count, 4), np.float32), np.zeros((count, 17, 3), np.float32)
    )
    data = Result(1, Fate.ANALYSED, 0, 0, 0, poses=poses).to_bytes()
    assert len(data) <= MAX_MESSAGE_BYTES
    assert len(Result.from_bytes(data).poses or ()) > 5000


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300), st.builds(json.dumps, st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ("type", "version", "codec", "width", "height", "mode", "fps", "name", "sent_ms", "captured")), inner),
))))  # fmt: skip
def test_whatever_comes_is_read_or_refused_in_one_line(message: bytes | str) -> None:
    why = refusal(lambda: read_client(message))
    assert why is None or (why.isprintable() and 0 < len(why) < 200)


@given(st.binary(max_size=400))
def test_whatever_a_server_sends_is_read_or_refused(message: bytes) -> None:
    for data in (message, bytes([2, 0]) + message):
        assert refusal(lambda data=data: Result.from_bytes(data)) != ""


def refusal(read: Callable[[], object]) -> str | None:
    """Why a message is refused; None where it is not."""
    try:
        read()
    except BadMessage as error:
        return str(error)
    return None


HELLO = {"type": "hello", "version": 1, "codec": "jpeg", "width": 640, "height": 360}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 1"),
        ({"codec": "vp9"}, "`codec` is h264 or jpeg"),
        ({"codec": ["jpeg"]}, "`codec`"),
        ({"width": 15}, "`width`"),
        ({"width": 4097}, "`width`"),
        ({"width": True}, "`width`"),
        ({"width": 640.5}, "`width`"),
        ({"height": None}, "`height`"),
        ({"height": 10**400}, "`height`"),
        ({"mode": "preview"}, "`mode` is full or hybrid"),
        ({"fps": 0}, "`fps`"),
        ({"fps": "30"}, "`fps`"),
        ({"name": "x" * 201}, "`name`"),
        ({"type": "helo"}, "no message 'helo'"),
    ],
)
def test_a_wrong_hello_says_what_is_wrong(change: dict[str, object], words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        read_client(json.dumps({**HELLO, **change}))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"type": 1}', "[" * 4000, '{"type": "clock", "sent_ms": NaN}']
)
def test_a_text_that_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        read_client(text)


def test_a_text_of_any_length_is_not_parsed() -> None:
    with pytest.raises(BadMessage, match="4096 characters"):
        read_client("[" * 5000)
    with pytest.raises(BadMessage, match="1048576 characters"):
        read_object("[" * 2**21)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        FRAME.pack(1, 1, 0, 1, 0, 0, 0),
        FRAME.pack(3, 1, 0, 1, 0, 0, 0) + b"x",
        FRAME.pack(1, 2, 0, 1, 0, 0, 0) + b"x",
        FRAME.pack(1, 1, 7, 1, 0, 0, 0) + b"x",
        FRAME.pack(1, 1, 0, 1, float("nan"), 0, 0) + b"x",
        FRAME.pack(1, 1, 0, 1, float("inf"), 0, 0) + b"x",
        FRAME.pack(1, 1, 0, 1, 0, float("nan"), 0) + b"x",
        FRAME.pack(1, 1, 0, 1, 0, 0, -1) + b"x",
        FRAME.pack(1, 1, 0, 1, 0, 0, 0) + bytes(MAX_MESSAGE_BYTES),
    ],
)  # fmt: skip
def test_a_wrong_frame_is_refused(message: bytes) -> None:
    with pytest.raises(BadMessage):
        read_frame(message)


def test_the_layout_is_that_of_the_page() -> None:
    assert (FRAME.size, RESULT.size) == (24, 48)
    frame = Frame(0x01020304, True, 8.0, 16.0, 20.0, b"data").to_bytes()
    assert frame[:8] == bytes((1, 1, 0, 0, 4, 3, 2, 1))
    assert struct.unpack("<dff", frame[8:24]) == (8.0, 16.0, 20.0)
    poses = FramePoses([1.0], [[0, 1, 2, 3]], [[[4, 5, 1.0], [6, 7, 0.0]]])  # type: ignore[arg-type]
    data = Result(5, Fate.ANALYSED, 8, 16, 24, 32, 36, 40, 44, poses).to_bytes()
    assert struct.unpack_from("<BBHIdddfffHH", data) == (2, 0, 2, 5, 8, 16, 24, 32, 36, 40, 44, 1)
    assert struct.unpack_from("<B4h2h2h2B", data, 48) == (255, 0, 8, 16, 24, 32, 48, 40, 56, 255, 0)
