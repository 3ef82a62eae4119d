"""Ranges of bytes as browsers ask for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.byte_range import RangeOutside, parse_byte_range


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        (None, None),
        ("", None),
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=99-500", (99, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=5-3", None),
        ("bytes=0-1,4-5", None),
        ("bytes=a-b", None),
        ("bytes=-", None),
        ("pages=1-2", None),
        ("bytes=٣-", None),
    ],
)
def test_what_is_asked_for(header: str | None, asked: tuple[int, int] | None) -> None:
    assert parse_byte_range(header, 100) == asked


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999-"])
def test_beyond_the_end(header: str) -> None:
    with pytest.raises(RangeOutside):
        parse_byte_range(header, 100)


@given(st.text(max_size=20), st.integers(0, 50))
def test_any_header_gives_bytes_that_exist_or_the_whole(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            asked = parse_byte_range(header, size)
        except RangeOutside:
            continue
        assert asked is None or 0 <= asked[0] < asked[1] <= size
