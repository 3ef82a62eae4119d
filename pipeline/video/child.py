"""The main function of a decoder child: read the request, lock down, then parse the video. Forked from the zygote.

Descriptors: 3 the job channel, 4 the byte channel, 5 the frame pool until it is mapped (decode), or the copy of the
video (a probe of one that is on this machine).
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import socket

import av
import numpy as np

from pipeline.core.frame_index import Int64s
from pipeline.core.frame_times import repair_times
from pipeline.core.video_limits import VideoLimits
from pipeline.video import lockdown, wire
from pipeline.video.byte_channel import ByteChannelFile, CopiedFile
from pipeline.video.camera import send_pictures
from pipeline.video.decode import send_frames
from pipeline.video.decode_request import DecodeRequest, RequestKind
from pipeline.video.demux import Unreadable, out_of_memory
from pipeline.video.frame_converter import FrameConverter
from pipeline.video.frame_pool import FramePool
from pipeline.video.indexer import send_index
from pipeline.video.sound import send_sound
from pipeline.video.wire import RecordKind

JOB_FD, BYTE_FD, POOL_FD = 3, 4, 5
COPY_FD = POOL_FD


def warm_up() -> None:
    """Import what is imported lazily: after the lockdown a child can open no file."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in ("av.__main__", "av.datasets"):
            importlib.import_module(module.name)
    np.ones((2, 2)).sum()
    repair_times([0, None, 5, 1], [])


def main(zygote_pid: int) -> None:
    """Serve one request and exit: 0 once it is answered, whatever the answer."""
    os.setsid()
    job = socket.socket(fileno=JOB_FD)
    byte_channel = socket.socket(fileno=BYTE_FD)
    request = DecodeRequest.from_bytes(wire.receive(job)[1])
    keys = _receive_keys(job)
    limits, decoding = request.limits, request.kind in {RequestKind.DECODE, RequestKind.CAMERA}
    if decoding:
        converter = FrameConverter(request.size, request.side)
        pool = FramePool(POOL_FD, converter.shape, request.slots, writable=True)
        os.close(POOL_FD)
    open_fds = 1 + (COPY_FD if request.has_copy else BYTE_FD)
    lockdown.lock_down(limits, zygote_pid, lockdown.address_space_bytes(), open_fds)
    if request.has_copy:
        file: ByteChannelFile = CopiedFile(byte_channel, request.file_bytes, COPY_FD)
    else:
        file = ByteChannelFile(byte_channel, request.file_bytes, request.needed_bytes)
    try:
        if request.kind is RequestKind.CAMERA:
            send_pictures(job, request, pool)
        elif decoding:
            send_frames(job, file, request, keys, pool, converter)
        elif request.kind is RequestKind.SOUND:
            send_sound(job, file, request)
        else:
            send_index(job, file, request)
    except Unreadable as error:
        wire.send(job, RecordKind.FAIL if decoding else RecordKind.REJECT, str(error).encode())
    except MemoryError:
        _send_out_of_memory(job, limits, decoding=decoding)
    except wire.Closed:
        os._exit(2)
    except Exception as error:  # noqa: BLE001 - the caller only exits
        wire.send(job, RecordKind.FAIL, f"{type(error).__name__}: {error}".encode()[:500])
    os._exit(0)


def _send_out_of_memory(job: socket.socket, limits: VideoLimits, *, decoding: bool) -> None:
    if decoding:
        wire.send(job, RecordKind.FAIL, f"it needs more than {limits.memory_bytes >> 20} MiB of memory".encode())
    else:
        wire.send(job, RecordKind.REJECT, str(out_of_memory(limits)).encode())


def _receive_keys(job: socket.socket) -> Int64s:
    pieces = []
    while payload := wire.receive(job)[1]:
        pieces.append(payload)
    return np.frombuffer(b"".join(pieces), dtype="<i8").astype(np.int64)
