"""A decoder child's life: read the job, give up every right, then look at the video. Runs forked from the zygote.

Descriptors: 3 the job channel, 4 the byte channel, 5 the ring until it is mapped.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import socket
from typing import Any

import av
import numpy as np

from pipeline.core.frame_times import repair_times
from pipeline.core.video_limits import VideoLimits
from pipeline.video import lockdown, wire
from pipeline.video.byte_channel import ByteChannelFile
from pipeline.video.decode import Span, send_frames
from pipeline.video.demux import Unreadable, out_of_memory
from pipeline.video.frame_converter import FrameConverter
from pipeline.video.frame_pool import FramePool
from pipeline.video.index import send_index
from pipeline.video.wire import Kind

JOB_FD, BYTE_FD, POOL_FD = 3, 4, 5


def warm_up() -> None:
    """Import what is imported lazily, since a child can open no file any more."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in ("av.__main__", "av.datasets"):
            importlib.import_module(module.name)
    np.ones((2, 2)).sum()
    repair_times([0, None, 5, 1], [])


def main(zygote_pid: int, *, has_pool: bool) -> None:
    """Do one job and exit: 0 when it is answered, whatever the answer."""
    os.setsid()
    job = socket.socket(fileno=JOB_FD)
    byte_channel = socket.socket(fileno=BYTE_FD)
    spec: dict[str, Any] = json.loads(wire.receive(job)[1])
    wanted = _receive_wanted(job)
    limits = VideoLimits(**spec["limits"])
    ring = None
    if has_pool:
        upright = FrameConverter(tuple(spec["size"]), spec["side"])
        ring = FramePool(POOL_FD, upright.shape, spec["slots"], writable=True)
        os.close(POOL_FD)
    lockdown.lock_down(limits, zygote_pid, lockdown.address_space_bytes(), open_fds=BYTE_FD + 1)
    file = ByteChannelFile(byte_channel, spec["size_bytes"], tuple(spec.get("needed", (0, 0))))
    try:
        if ring is None:
            send_index(job, file, limits)
        else:
            span = Span(wanted, spec["counted"], spec["seek_pts"], spec["seek_bytes"])
            send_frames(job, file, limits, ring, span, upright)
    except Unreadable as error:
        wire.send(job, Kind.REJECT if ring is None else Kind.FAIL, str(error).encode())
    except MemoryError:
        if ring is None:
            wire.send(job, Kind.REJECT, str(out_of_memory(limits)).encode())
        else:
            wire.send(job, Kind.FAIL, f"it needs more than {limits.memory_bytes >> 20} MiB of memory".encode())
    except wire.Closed:
        os._exit(2)
    except Exception as error:  # noqa: BLE001 - nothing above this but the exit
        wire.send(job, Kind.FAIL, f"{type(error).__name__}: {error}".encode()[:500])
    os._exit(0)


def _receive_wanted(job: socket.socket) -> np.ndarray[Any, np.dtype[np.int64]]:
    pieces = []
    while payload := wire.receive(job)[1]:
        pieces.append(payload)
    return np.frombuffer(b"".join(pieces), dtype="<i8").astype(np.int64)
