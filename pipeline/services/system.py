"""The servers that a use case works with, built once at an edge and passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine

from pipeline.core.video_limits import VideoLimits
from pipeline.db.engine import build_engine, database_time
from pipeline.queue import TaskQueue, build_task_queue
from pipeline.services.index_cache import IndexCache
from pipeline.services.live.yielding import LiveNeighbour
from pipeline.settings import Settings
from pipeline.storage.objects import ObjectStore, build_object_store


@dataclass(frozen=True)
class System:
    """Database, object store, queue and settings, and the frame indexes read last.

    Args:
        clock: what time it is for schedules.
        neighbour: of batch work on this machine.
    """

    settings: Settings
    engine: Engine
    store: ObjectStore
    queue: TaskQueue
    indexes: IndexCache = field(default_factory=IndexCache)
    clock: Callable[[Connection], datetime] = database_time
    neighbour: LiveNeighbour = field(default_factory=LiveNeighbour)

    def rest_s(self, worked_s: float) -> float:
        """For how long batch work rests after so many seconds, for the sake of live sessions on this machine."""
        return self.neighbour.rest_s(self.engine, worked_s) if self.settings.live_yield else 0.0

    @property
    def limits(self) -> VideoLimits:
        """The limits of a video whose team has none of its own."""
        return self.settings.limits

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        self.queue.close()
        self.store.close()


def build_system(settings: Settings, *, queue: TaskQueue | None = None, pool_size: int = 5) -> System:
    """Build the clients of the servers that the settings name. Nothing is contacted yet."""
    return System(
        settings,
        build_engine(settings.database_url.get_secret_value(), pool_size=pool_size),
        build_object_store(settings),
        queue or build_task_queue(settings),
    )
