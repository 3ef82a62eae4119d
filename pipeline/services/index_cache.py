"""The frame indexes of the videos that a worker analyses: read once per video, not once per chunk.

An index of two million frames takes 9 MB to fetch and 0.3 s to unpack. It never changes once its video is ready.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.frame_index import FrameIndex
from pipeline.db.videos import select_frame_index

CACHE_BYTES = 48 * 2**20


class IndexCache:
    """The most recently used indexes, at most `max_bytes` in all or else the last one alone. Thread-safe."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._indexes: OrderedDict[UUID, FrameIndex] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, connection: Connection, video_id: UUID) -> FrameIndex:
        """The frame index of a ready video."""
        with self._lock:
            if video_id in self._indexes:
                self._indexes.move_to_end(video_id)
                return self._indexes[video_id]
        index = select_frame_index(connection, video_id)
        with self._lock:
            self._indexes[video_id] = index
            while (
                len(self._indexes) > 1 and sum(each.memory_bytes for each in self._indexes.values()) > self._max_bytes
            ):
                self._indexes.popitem(last=False)
        return index
