"""What goes over the sockets between a worker and its decoder child: fixed records, lengths first.

Never pickle: everything that comes from the child is as untrusted as the video. The byte channel has its own
records in `bytefile`.
"""

from __future__ import annotations

import socket
import struct
import time
from enum import IntEnum

import numpy as np

HEADER = struct.Struct("<BI")
FRAME = struct.Struct("<qI")  # key, slot
STATUS = struct.Struct("<i")
INDEX_ROW = np.dtype([("pts", "<i8"), ("position", "<i8"), ("size", "<i8"), ("keyframe", "u1")])
MAX_PAYLOAD_BYTES = 1 << 20
INDEX_ROWS = MAX_PAYLOAD_BYTES // INDEX_ROW.itemsize  # in one record


class Kind(IntEnum):
    """The first byte of a record."""

    SPEC = 1  # parent: JSON, what to do
    WANTED = 2  # parent: int64 keys of frames, in as many records as it takes; an empty one ends them
    FRAME = 3  # child: a slot is filled
    INDEX = 4  # child: rows of the frame index
    INFO = 5  # child: JSON, the end of a probe
    END = 6  # child: the end of the frames
    TICK = 7  # child: still at work
    REJECT = 8  # child: one line for the person who uploaded
    FAIL = 9  # child: one line, why it gave up


class Closed(ConnectionError):
    """The other side is gone."""


def receive_exactly(sock: socket.socket, size: int) -> bytearray:
    """`size` bytes.

    Raises:
        Closed: the other side hung up before.
        TimeoutError: the socket has a timeout, and it passed.
    """
    data = bytearray(size)
    view = memoryview(data)
    patience_s = sock.gettimeout()
    until_s = None if patience_s is None else time.monotonic() + patience_s
    while view:
        if until_s is not None and time.monotonic() > until_s:
            raise TimeoutError("a record that comes drop by drop")
        got = sock.recv_into(view)
        if not got:
            raise Closed("hung up")
        view = view[got:]
    return data


def send(sock: socket.socket, kind: Kind, payload: bytes | memoryview = b"") -> None:
    """Send one record."""
    sock.sendall(HEADER.pack(kind, len(payload)) + payload)


def send_in_pieces(sock: socket.socket, kind: Kind, payload: bytes, row_bytes: int) -> None:
    """Send as many records as it takes, cut between rows."""
    step = MAX_PAYLOAD_BYTES // row_bytes * row_bytes
    for at in range(0, len(payload), step):
        send(sock, kind, payload[at : at + step])


def receive(sock: socket.socket) -> tuple[Kind, bytes]:
    """One record.

    Raises:
        Closed: the other side hung up.
        ValueError: not a record.
        TimeoutError: the socket has a timeout, and it passed in the middle of one.
    """
    kind, size = HEADER.unpack(receive_exactly(sock, HEADER.size))
    if size > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a record of {size} bytes")
    return Kind(kind), bytes(receive_exactly(sock, size))
