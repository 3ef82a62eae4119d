"""The channel for the video's bytes: the child's file object, and the parent's thread that answers its reads.

It is a thread so that reads are answered while the parent runs a model. Requests are few, for the latency of the object
store, but fetch little that is not needed: inside the range that a job will need they have the largest size; elsewhere
a sequential read doubles the size of the request before it. Where the child has a descriptor of a copy, the answer is
only which bytes are there.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections import OrderedDict
from typing import Final

from pipeline.video.growing_copy import GrowingCopy
from pipeline.video.source import ByteSource
from pipeline.video.wire import Closed, receive_exactly

REQUEST: Final = struct.Struct("<QI")  # offset, size
REPLY: Final = struct.Struct("<I")  # size, then the bytes
SPAN: Final = struct.Struct("<QQ")  # instead, where the child has a copy: start and end of bytes that are there

BLOCK_BYTES = 16 * 1024
MAX_RUN_BLOCKS = 128
CACHED_BLOCKS = 512
MAX_FILE_READS = 20
#: A child that has a copy asks at least this often, so that its parent sees that it reads.
ASK_EVERY_BYTES = 16 * 2**20


class ByteChannelFile:
    """The file object that PyAV reads. It requests blocks from the parent and caches them.

    Args:
        size_bytes: length of the whole file.
        needed_bytes: start and end of what will be read in any case; `(0, 0)` where unknown.
    """

    def __init__(self, sock: socket.socket, size_bytes: int, needed_bytes: tuple[int, int] = (0, 0)) -> None:
        self.size_bytes = size_bytes
        self._needed_bytes = needed_bytes
        self._sock = sock
        self._at = 0
        self._blocks: OrderedDict[int, tuple[bytes, int]] = OrderedDict()  # number -> bytes, blocks in its request

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size_bytes - self._at)
        if size < 0 or size > left:
            size = left
        if not size:
            return b""
        number, offset = divmod(self._at, BLOCK_BYTES)
        # PyAV accepts short reads, so a read never spans blocks.
        data = self._block(number)[offset : offset + size]
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"seek to {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._fetch(number, self._run_blocks(number))
        self._blocks.move_to_end(number)
        return self._blocks[number][0]

    def _run_blocks(self, number: int) -> int:
        """How many blocks to request from `number` on."""
        needed_from, needed_to = self._needed_bytes[0] // BLOCK_BYTES, -(-self._needed_bytes[1] // BLOCK_BYTES)
        if needed_from <= number < needed_to:
            return min(MAX_RUN_BLOCKS, needed_to - number)
        before = self._blocks.get(number - 1)
        if before is None or number == needed_to:
            return 1
        return min(MAX_RUN_BLOCKS, before[1] * 2)

    def _fetch(self, number: int, run: int) -> None:
        start = number * BLOCK_BYTES
        size = min(run * BLOCK_BYTES, self.size_bytes - start)
        self._sock.sendall(REQUEST.pack(start, size))
        (got,) = REPLY.unpack(receive_exactly(self._sock, REPLY.size))
        data = memoryview(receive_exactly(self._sock, got))
        for i in range(run):
            self._blocks[number + i] = (bytes(data[i * BLOCK_BYTES : (i + 1) * BLOCK_BYTES]), run)
        while len(self._blocks) > CACHED_BLOCKS:
            self._blocks.popitem(last=False)


class CopiedFile(ByteChannelFile):
    """The same for a child that has a descriptor of a copy which may still grow.

    Args:
        fd: of the copy, for reading.
    """

    def __init__(self, sock: socket.socket, size_bytes: int, fd: int) -> None:
        super().__init__(sock, size_bytes)
        self._fd = fd
        self._there = (0, 0)

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size_bytes - self._at)
        size = min(left, MAX_RUN_BLOCKS * BLOCK_BYTES, size if size >= 0 else left)
        if not size:
            return b""
        if self._at < self._there[0] or self._at + size > self._there[1]:
            self._sock.sendall(REQUEST.pack(self._at, size))
            start, stop = SPAN.unpack(receive_exactly(self._sock, SPAN.size))
            self._there = (start, min(stop, self._at + ASK_EVERY_BYTES))
        data = os.pread(self._fd, size, self._at)
        self._at += len(data)
        return data


class ByteServer(threading.Thread):
    """Answers one child's reads until it closes the socket. What the source raises is kept in `error`.

    Args:
        has_copy: whether the child has a descriptor of `source`, a `GrowingCopy`.
    """

    def __init__(self, source: ByteSource, sock: socket.socket, *, has_copy: bool = False) -> None:
        super().__init__(name="video-bytes", daemon=True)
        self.error: BaseException | None = None
        self.progress_at_s = time.monotonic()
        self.reading = False
        self._answer = self._find if has_copy else self._read
        self._source = source
        self._sock = sock
        # The whole file several times, for seeks and reopening; a child that reads more is broken or compromised.
        self._left_bytes = MAX_FILE_READS * source.size_bytes + 2**30

    def run(self) -> None:
        with self._sock:
            try:
                while True:
                    self._serve_one()
            except (Closed, OSError):
                return

    def _serve_one(self) -> None:
        offset, size = REQUEST.unpack(receive_exactly(self._sock, REQUEST.size))
        self._left_bytes -= size
        if (
            not size
            or size > MAX_RUN_BLOCKS * BLOCK_BYTES
            or offset + size > self._source.size_bytes
            or self._left_bytes < 0
        ):
            raise Closed("the child sent an invalid request")
        self.reading = True
        try:
            answer = self._answer(offset, size)
        except BaseException as error:
            self.error = error
            raise Closed("the source raised") from error
        finally:
            self.progress_at_s = time.monotonic()
            self.reading = False
        self._sock.sendall(answer)
        self.progress_at_s = time.monotonic()

    def _read(self, offset: int, size: int) -> bytes:
        data = self._source.read_at(offset, size)
        return REPLY.pack(len(data)) + data

    def _find(self, offset: int, size: int) -> bytes:
        assert isinstance(self._source, GrowingCopy)
        return SPAN.pack(*self._source.wait_for(offset, size))
