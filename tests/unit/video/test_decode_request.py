"""The request that a worker sends to its decoder child."""

from __future__ import annotations

import json

import pytest

from pipeline.core.video_limits import VideoLimits
from pipeline.video.decode_request import DecodeRequest, RequestKind

LIMITS = VideoLimits(max_pixels=10**7, max_frames=1000, stall_s=20)
PROBE = DecodeRequest(RequestKind.PROBE, LIMITS, 1)
DECODE = DecodeRequest(RequestKind.DECODE, LIMITS, 10**9, (160, 96), None, 5, True, -3, 48, (48, 10**9))


@pytest.mark.parametrize("request_", [PROBE, DECODE])
def test_a_request_is_read_as_it_was_sent(request_: DecodeRequest) -> None:
    assert DecodeRequest.from_bytes(request_.to_bytes()) == request_


@pytest.mark.parametrize(
    "changes",
    [{"kind": "watch"}, {"limits": {"max_pictures": 1}}, {"size": [1]}, {"size": None}, {"slots": 0}, {"color": 1}],
)
def test_an_invalid_request_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        DecodeRequest.from_bytes(json.dumps(json.loads(DECODE.to_bytes()) | changes).encode())
    with pytest.raises(ValueError, match=r"."):
        DecodeRequest.from_bytes(b"[]")
