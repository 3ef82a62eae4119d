"""The records on the sockets between a worker and its decoder child: a kind, a length, a payload.

Never pickle: everything that comes from the child is as untrusted as the video. `byte_channel` has its own records.
"""

from __future__ import annotations

import socket
import struct
import time
from enum import IntEnum

import numpy as np

HEADER = struct.Struct("<BI")  # kind, payload length
FRAME = struct.Struct("<qI")  # key, slot
SOUND = struct.Struct("<q")  # where the samples that follow begin, counted as in `DecodeRequest.samples`
PACKET = struct.Struct("<IBB")  # id, whether it is a keyframe, the slot for its picture; then the bytes
PICTURE = struct.Struct("<IHH")  # id, width and height as it was sent, upright
NO_PICTURE = struct.Struct("<IB")  # id, whether the next one has to be a keyframe; then why, as text
#: What the zygote is to do with a child.
KILL, STOP, GO_ON = b"K", b"S", b"C"
STATUS = struct.Struct("<i")
INDEX_ROW = np.dtype([("pts", "<i8"), ("position", "<i8"), ("size", "<i8"), ("keyframe", "u1")])
MAX_PAYLOAD_BYTES = 1 << 20
ROWS_PER_RECORD = MAX_PAYLOAD_BYTES // INDEX_ROW.itemsize


class RecordKind(IntEnum):
    """The first byte of a record."""

    REQUEST = 1  # parent: a `DecodeRequest`
    KEYS = 2  # parent: int64 keys of frames, in as many records as it takes; an empty one ends them
    FRAME = 3  # child: a slot is filled
    INDEX = 4  # child: rows of the frame index
    INFO = 5  # child: JSON, the end of a probe, or the beginning of sound
    END = 6  # child: the end of the frames, or of the sound
    TICK = 7  # child: still at work
    REJECT = 8  # child: why the video is rejected, one line for the person who uploaded it
    FAIL = 9  # child: why it failed, one line
    OWN_PREVIEW = 10  # child: the id of the run that the video is a preview of
    SOUND = 11  # child: samples
    PACKET = 12  # parent: one frame of a camera, as it was sent
    PICTURE = 13  # child: that frame is in its slot
    NO_PICTURE = 14  # child: why it is not, one line


class Closed(ConnectionError):
    """The other side closed the socket."""


def receive_exactly(sock: socket.socket, size_bytes: int) -> bytearray:
    """Receive `size_bytes` bytes.

    Raises:
        Closed: the other side closed the socket before.
        TimeoutError: the socket has a timeout, and it passed.
    """
    data = bytearray(size_bytes)
    view = memoryview(data)
    timeout_s = sock.gettimeout()
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    while view:
        # The socket's own timeout starts again with every byte.
        if deadline_s is not None and time.monotonic() > deadline_s:
            raise TimeoutError("a record was sent too slowly")
        received = sock.recv_into(view)
        if not received:
            raise Closed("the socket was closed")
        view = view[received:]
    return data


def send(sock: socket.socket, kind: RecordKind, payload: bytes | memoryview = b"") -> None:
    """Send one record."""
    sock.sendall(HEADER.pack(kind, len(payload)) + payload)


def send_in_pieces(sock: socket.socket, kind: RecordKind, payload: bytes, row_bytes: int) -> None:
    """Send as many records as it takes, cut between rows."""
    step = MAX_PAYLOAD_BYTES // row_bytes * row_bytes
    for at in range(0, len(payload), step):
        send(sock, kind, payload[at : at + step])


def receive(sock: socket.socket) -> tuple[RecordKind, bytes]:
    """Receive one record.

    Raises:
        Closed: the other side closed the socket.
        ValueError: it is not a record.
        TimeoutError: the socket has a timeout, and it passed in the middle of one.
    """
    kind, size_bytes = HEADER.unpack(receive_exactly(sock, HEADER.size))
    if size_bytes > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a record of {size_bytes} bytes")
    return RecordKind(kind), bytes(receive_exactly(sock, size_bytes))
