"""A cache of blocks of stored objects.

The chunks of one video share its header and index, and neighbouring chunks share a block: without a cache
a worker would read a long video's index once per chunk. Blocks are of a pinned version, so they cannot become stale.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from pipeline.core.objects import StoredObject

BLOCK_BYTES = 16 * 1024
CACHE_BYTES = 48 * 2**20

Key = tuple[StoredObject, int]


class BlockCache:
    """The most recently used blocks, at most `max_bytes` in all. Thread-safe."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_blocks = max(1, max_bytes // BLOCK_BYTES)
        self._blocks: OrderedDict[Key, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, source: StoredObject, offset: int, size: int, fetch: Callable[[int, int], bytes]) -> bytes:
        """Bytes `[offset, offset + size)`; `fetch(offset, size)` is called once for the blocks that are missing."""
        first, last = offset // BLOCK_BYTES, -(-(offset + size) // BLOCK_BYTES)
        with self._lock:
            blocks = {i: self._look_up((source, i)) for i in range(first, last)}
        missing = [i for i, block in blocks.items() if block is None]
        if missing:
            start, stop = missing[0], missing[-1] + 1
            data = fetch(start * BLOCK_BYTES, (stop - start) * BLOCK_BYTES)
            for i in range(start, stop):
                at = (i - start) * BLOCK_BYTES
                blocks[i] = data[at : at + BLOCK_BYTES]
            with self._lock:
                for i in range(start, stop):
                    self._keep((source, i), blocks[i] or b"")
        joined = b"".join(block or b"" for block in blocks.values())
        skip = offset - first * BLOCK_BYTES
        return joined[skip : skip + size]

    def _look_up(self, key: Key) -> bytes | None:
        if key not in self._blocks:
            return None
        self._blocks.move_to_end(key)
        return self._blocks[key]

    def _keep(self, key: Key, block: bytes) -> None:
        self._blocks[key] = block
        self._blocks.move_to_end(key)
        if len(self._blocks) > self._max_blocks:
            self._blocks.popitem(last=False)


class RangeStore(Protocol):
    """Reads ranges of pinned objects and has a cache of blocks."""

    blocks: BlockCache

    def read_range(self, source: StoredObject, offset: int, size: int) -> bytes:
        """Bytes of the pinned version."""


class ObjectSource:
    """A pinned object as input of a decoder; `bytes_read` counts the bytes fetched from the object store."""

    def __init__(self, store: RangeStore, source: StoredObject) -> None:
        self._store = store
        self._source = source
        self.bytes_read = 0

    @property
    def size_bytes(self) -> int:
        return self._source.size_bytes

    def read_at(self, offset: int, size: int) -> bytes:
        size = min(size, self._source.size_bytes - offset)
        return self._store.blocks.read(self._source, offset, size, self._fetch) if size > 0 else b""

    def _fetch(self, offset: int, size: int) -> bytes:
        data = self._store.read_range(self._source, offset, size)
        self.bytes_read += len(data)
        return data
