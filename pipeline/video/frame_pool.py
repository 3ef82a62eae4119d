"""Frames in memory that parent and child share, so that decoding runs ahead and no pixel goes through a socket.

All pictures of a job have one shape, so a slot's number says all that there is to say. The memory is sealed: a child
that shrank it under the parent would kill the parent with SIGBUS (Linux; elsewhere the file is an unlinked temporary
one, without seals).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from typing import cast

import numpy as np

from pipeline.core.letterbox import Image

#: Pictures that are decoded ahead of a caller who takes one at a time.
AHEAD = 5
_MOST_BYTES = 256 * 2**20
#: A slot's number goes over the wire as one byte.
MOST_SLOTS = 256


def slots_for(batch: int) -> int:
    """Slots for a caller who holds so many pictures at once: the next batch is decoded while one is worked on.

    Raises:
        ValueError: there are not that many.
    """
    slots = 2 * batch + AHEAD - 1
    if batch < 1 or slots > MOST_SLOTS:
        raise ValueError(f"a batch must be 1 to {(MOST_SLOTS - AHEAD + 1) // 2}, got {batch}")
    return slots


def batch_for(shape: tuple[int, int], wanted: int) -> int:
    """The batch that was wanted, or a smaller one where pictures are so large that the ring would be."""
    while wanted > 1 and slots_for(wanted) * _stride(shape) > _MOST_BYTES:
        wanted //= 2
    return wanted


def create_pool(shape: tuple[int, int], slots: int) -> int:
    """A file descriptor of that many slots of shared memory, for pictures of that height and width."""
    size = slots * _stride(shape)
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("poseline-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return fd
    fd, path = tempfile.mkstemp()
    os.unlink(path)
    os.ftruncate(fd, size)
    return fd


class FramePool:
    """One side's mapping. There is no close: the mapping goes when the last picture in it is dropped.

    Args:
        shape: height and width of its pictures.
        writable: for the child.
    """

    def __init__(self, fd: int, shape: tuple[int, int], slots: int, *, writable: bool) -> None:
        stride = _stride(shape)
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        shared = mmap.mmap(fd, slots * stride, mmap.MAP_SHARED, prot)
        self._pictures = [
            cast("Image", np.ndarray((*shape, 3), np.uint8, buffer=shared, offset=slot * stride))
            for slot in range(slots)
        ]

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self._pictures)

    def picture(self, slot: int) -> Image:
        """uint8 `(height, width, 3)` in a slot; read-only in the parent.

        Raises:
            ValueError: no such slot.
        """
        if not 0 <= slot < len(self._pictures):
            raise ValueError(f"there is no slot {slot}")
        return self._pictures[slot]


def _stride(shape: tuple[int, int]) -> int:
    """Bytes from one slot to the next: whole pages."""
    return -(-shape[0] * shape[1] * 3 // mmap.PAGESIZE) * mmap.PAGESIZE
