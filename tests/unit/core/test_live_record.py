"""A live session's poses at the end of its video, and the video that a session's pictures become."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import pytest

from pipeline.core.live_record import LiveRecord, decode_entry, encode_box, encode_entry
from pipeline.core.live_results import Fate
from pipeline.core.poses import FramePoses

SESSION = uuid4()


def poses(number: int, people: int = 2) -> FramePoses:
    """Some, told apart by a number."""
    return FramePoses(np.full(people, 0.5), np.full((people, 4), number), np.full((people, 3, 3), number / 3))


def file_of(entries: list[bytes], pts: list[int], before: bytes = b"a video") -> bytes:
    """A file that ends with these."""
    return before + b"".join(encode_box(SESSION, pts, map(len, entries), lambda: entries))


def record_of(data: bytes) -> LiveRecord:
    """The record of a file in memory."""
    return LiveRecord(lambda at, size: data[at : at + size], len(data), SESSION)


def test_each_time_has_its_own_entry_and_spans_are_half_open() -> None:
    pts = [7 * n + n % 3 for n in range(1500)]
    record = record_of(file_of([encode_entry(Fate.ANALYSED, poses(n, n % 4)) for n in range(1500)], pts))
    everything = list(record.iter_entries(0, 10**9))
    assert [time for time, _ in everything] == pts
    for number, (_, entry) in enumerate(everything):
        assert len(entry.poses) == number % 4
        assert entry.reason is None
        assert np.array_equal(entry.poses.keypoints, poses(number, number % 4).keypoints)
    assert [time for time, _ in record.iter_entries(pts[700], pts[710])] == pts[700:710]
    assert list(record.iter_entries(pts[-1] + 1, 10**9)) == []


def test_what_was_not_analysed_says_why() -> None:
    assert (
        decode_entry(encode_entry(Fate.SUPERSEDED, None)).reason == "a newer frame took its place in the live session"
    )
    failed = decode_entry(encode_entry(Fate.FAILED, None, "the device failed"))
    assert failed.reason == "not analysed live: the device failed"
    assert len(failed.poses) == 0


def test_what_is_no_record_of_this_session_is_refused() -> None:
    whole = file_of([encode_entry(Fate.ANALYSED, poses(1))], [0])
    for damaged in (b"", b"a video", whole[:-1], whole[:-40] + bytes(16) + whole[-24:]):
        with pytest.raises(ValueError, match="live session"):
            record_of(damaged)
    with pytest.raises(ValueError, match="live session"):
        LiveRecord(lambda at, size: whole[at : at + size], len(whole), uuid4())
    for entry in (b"", b"\x09", encode_entry(Fate.ANALYSED, poses(1))[:-1]):
        with pytest.raises(ValueError, match=r"damaged|multiple"):
            decode_entry(entry)
