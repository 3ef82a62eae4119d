"""A copy of a stored video that is read while it is being written.

A decoder child may read it through a descriptor of its own instead of having every byte sent: read-only, of this one
nameless file, with a position of its own. That gives it nothing that it would not be sent anyway. It cannot write,
lengthen or shorten the file (the descriptor), open it or any other file again (Landlock, seccomp, RLIMIT_NOFILE), nor
change its owner, mode or attributes (seccomp); what it reads before it is told that the bytes are there are zeros.
Files of people are never handed out, only such copies.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import IO

#: What lies this far behind the end is fetched on its own: the index of an MP4 that was recorded in one go.
FAR_BYTES = 8 * 2**20
FIRST_AHEAD_BYTES = 256 * 1024
LARGEST_AHEAD_BYTES = 4 * 2**20
#: In all, for one video: the index of a day of video takes less. After that, a reader waits.
MOST_AHEAD_BYTES = 128 * 2**20


class GrowingCopy:
    """A file that one thread fills from its start while another reads it; a `ByteSource` whose reads wait.

    Args:
        file: empty, open for reading and writing; its owner closes it.
        size_bytes: its length in the end.
        fetch: gets bytes `[offset, offset + size)` of what is copied.
    """

    def __init__(self, file: IO[bytes], size_bytes: int, fetch: Callable[[int, int], bytes]) -> None:
        self.size_bytes = size_bytes
        self._file = file
        self._fetch = fetch
        self._changed = threading.Condition()
        self._end = 0
        self._error: BaseException | None = None
        self._ahead = (0, 0)
        self._ahead_left_bytes = MOST_AHEAD_BYTES

    def append(self, piece: bytes) -> None:
        """Write the next bytes. The writer's side."""
        self._file.write(piece)
        self._file.flush()
        with self._changed:
            self._end += len(piece)
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Raise this for every read of bytes that have not come. The writer's side."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def open_for_child(self) -> int | None:
        """A read-only descriptor of the file, for the caller to close; None on systems without `/proc`."""
        try:
            return os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None

    def wait_for(self, offset: int, size: int) -> tuple[int, int]:
        """Wait until the bytes `[offset, offset + size)` are there. Returns start and end of a span that holds them.

        Raises:
            Exception: what the writer failed with, or what `fetch` raises.
        """
        stop = min(offset + size, self.size_bytes)
        if offset > self._end + FAR_BYTES and self._get_ahead(offset, stop):
            return self._ahead
        with self._changed:
            self._changed.wait_for(lambda: self._end >= stop or self._error is not None)
            if self._end < stop:
                assert self._error is not None
                raise self._error
            return 0, self._end

    def read_at(self, offset: int, size: int) -> bytes:
        """Read bytes `[offset, offset + size)`, fewer only at the end of the file; see `wait_for`."""
        self.wait_for(offset, size)
        return os.pread(self._file.fileno(), size, offset)

    def _get_ahead(self, offset: int, stop: int) -> bool:
        """Fetch bytes far behind the end, twice as many each time while the reader goes on. Whether they are there."""
        start, end = self._ahead
        if start <= offset and stop <= end:
            return True
        follows = start <= offset <= end
        begin = end if follows else offset
        wanted = min(2 * (end - start), LARGEST_AHEAD_BYTES) if follows else FIRST_AHEAD_BYTES
        size = min(max(wanted, stop - begin), self.size_bytes - begin, self._ahead_left_bytes)
        if begin + size < stop:
            return False
        self._ahead_left_bytes -= size
        data = self._fetch(begin, size)
        rest, at = memoryview(data), begin
        while rest:
            written = os.pwrite(self._file.fileno(), rest, at)
            rest, at = rest[written:], at + written
        self._ahead = (start if follows else begin, begin + len(data))
        return True
