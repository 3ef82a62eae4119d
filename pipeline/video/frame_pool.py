"""A pool of frames in shared memory: the child decodes ahead into free slots, and no pixel goes through a socket.

All frames of a job have one shape, so only a slot's number is sent. On Linux the memory is sealed: a child that shrank
it would kill the parent with SIGBUS. Elsewhere it is an unlinked temporary file without seals.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from typing import cast

import numpy as np

from pipeline.core.letterbox import Image

#: Slots for a caller that takes one frame at a time, and holds one more.
READ_AHEAD_FRAMES = 5
_MAX_POOL_BYTES = 256 * 2**20
#: A slot's number is sent as one byte.
MAX_SLOTS = 256


def slots_for(batch: int) -> int:
    """The slots for a caller that holds `batch` frames at once, so that the next batch is decoded meanwhile.

    Raises:
        ValueError: the batch is too large, or less than 1.
    """
    slots = 2 * batch + READ_AHEAD_FRAMES - 1
    if batch < 1 or slots > MAX_SLOTS:
        raise ValueError(f"a batch must be 1 to {(MAX_SLOTS - READ_AHEAD_FRAMES + 1) // 2}, got {batch}")
    return slots


def batch_for(shape: tuple[int, int], wanted: int) -> int:
    """The wanted batch, halved until its pool is within the memory limit. `shape` is height and width."""
    while wanted > 1 and slots_for(wanted) * _stride(shape) > _MAX_POOL_BYTES:
        wanted //= 2
    return wanted


def create_pool(shape: tuple[int, int], slots: int) -> int:
    """Create shared memory for `slots` frames of `shape`, height and width. Returns its file descriptor."""
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
    """One side's mapping of the pool. It is unmapped when the last image in it is garbage collected.

    Args:
        shape: height and width of its frames.
        writable: True in the child.
    """

    def __init__(self, fd: int, shape: tuple[int, int], slots: int, *, writable: bool) -> None:
        stride = _stride(shape)
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        shared = mmap.mmap(fd, slots * stride, mmap.MAP_SHARED, prot)
        self._images = [
            cast("Image", np.ndarray((*shape, 3), np.uint8, buffer=shared, offset=slot * stride))
            for slot in range(slots)
        ]

    @property
    def slots(self) -> int:
        """The number of slots."""
        return len(self._images)

    def image(self, slot: int) -> Image:
        """The image in a slot, uint8 `(height, width, 3)`; read-only in the parent.

        Raises:
            ValueError: there is no such slot.
        """
        if not 0 <= slot < len(self._images):
            raise ValueError(f"there is no slot {slot}")
        return self._images[slot]


def _stride(shape: tuple[int, int]) -> int:
    """Bytes from one slot to the next: whole pages."""
    return -(-shape[0] * shape[1] * 3 // mmap.PAGESIZE) * mmap.PAGESIZE
