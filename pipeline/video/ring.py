"""Frames in memory that parent and child share, so that decoding runs ahead and no pixel goes through a socket.

The memory is sparse: a slot costs what is written to it, so slots are as large as the largest allowed frame. It is
sealed: a child that shrank it under the parent would kill the parent with SIGBUS (Linux; elsewhere the file is an
unlinked temporary one, without seals).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from typing import cast

import numpy as np

from pipeline.video.letterbox import Image

SLOTS = 6


def make_ring(slot_bytes: int) -> int:
    """A file descriptor of `SLOTS` slots of shared memory."""
    size = SLOTS * _page_aligned(slot_bytes)
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("poseline-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return fd
    fd, path = tempfile.mkstemp()
    os.unlink(path)
    os.ftruncate(fd, size)
    return fd


class Ring:
    """One side's mapping. There is no close: the mapping goes when the last picture in it is dropped."""

    def __init__(self, fd: int, slot_bytes: int, *, writable: bool) -> None:
        self.slot_bytes = slot_bytes
        self._stride = _page_aligned(slot_bytes)
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        self._map = mmap.mmap(fd, SLOTS * self._stride, mmap.MAP_SHARED, prot)

    def picture(self, slot: int, height: int, width: int) -> Image:
        """uint8 `(height, width, 3)` in a slot; read-only in the parent.

        Raises:
            ValueError: no such slot, or too large for it.
        """
        size = height * width * 3
        if not (0 <= slot < SLOTS and 0 < size <= self.slot_bytes):
            raise ValueError(f"{width} x {height} in slot {slot}")
        flat = np.frombuffer(self._map, dtype=np.uint8, count=size, offset=slot * self._stride)
        return cast("Image", flat.reshape(height, width, 3))


def _page_aligned(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
