"""A probe of a hostile file with the checks that every one must pass: a short message, little time and memory."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.core.video_limits import VideoLimits
from pipeline.errors import PoselineError
from pipeline.video import zygote_client
from pipeline.video.reader import probe
from pipeline.video.source import open_source

LIMITS = VideoLimits(
    max_pixels=8192 * 4320, max_frames=50_000, stall_s=20, memory_bytes=200 << 20, max_cpu_s_per_frame=5
)
#: CPU seconds; the longest is measured at a fifth of that.
MAX_CPU_S = 10.0
MAX_PEAK_MIB = 200
#: The usual child, but its messages end with what it used: MiB on top of the zygote's, and CPU seconds.
BOOT = """
import json, sys
sys.path[:0] = [p for p in json.loads(sys.argv[1]) if p not in sys.path]
import resource, time
from pipeline.video import child, wire
from pipeline.video.zygote import main

honest_index, honest_send = child.send_index, wire.send

def send(job, kind, payload=b""):
    if kind in (wire.RecordKind.REJECT, wire.RecordKind.FAIL):
        used_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
        payload = bytes(payload) + f" [{used_kib // 1024} MiB {time.process_time():.1f} s]".encode()
    honest_send(job, kind, payload)

def send_index(*args):
    global before_kib
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    honest_index(*args)

child.send_index, wire.send = send_index, send
main(int(sys.argv[2]), int(sys.argv[3]))
"""
USED = re.compile(r" \[(\d+) MiB ([0-9.]+) s\]$")


@contextmanager
def reporting_children() -> Iterator[None]:
    """Make children report what they used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zygote_client, "_BOOT", BOOT)
        zygote_client.zygote().stop()
        yield
    zygote_client.zygote().stop()


def probed(path: Path, limits: VideoLimits = LIMITS) -> int | str:
    """The number of frames, or the message of the rejection, which is checked."""
    started_s = time.monotonic()
    with open_source(path) as source:
        try:
            return len(probe(source, limits).index)
        except PoselineError as error:
            message = error.message
    used = USED.search(message)
    if used:
        message = message[: used.start()]
        assert float(used[2]) < MAX_CPU_S, message
        assert int(used[1]) < MAX_PEAK_MIB, message
    assert time.monotonic() - started_s < 60
    assert "\n" not in message
    assert 20 < len(message) < 200, message
    assert message.endswith("."), message
    assert "invalid data" not in message
    assert "decoder" not in message, f"this does not name the file as the cause: {message}"
    return message
