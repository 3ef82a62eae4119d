"""The servers that a use case works with, built once at an edge and passed in."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from pipeline.core.video_limits import VideoLimits
from pipeline.db.engine import build_engine
from pipeline.queue import TaskQueue, build_task_queue
from pipeline.settings import Settings
from pipeline.storage.objects import ObjectStore, build_object_store


@dataclass(frozen=True)
class System:
    """Database, object store, queue and settings."""

    settings: Settings
    engine: Engine
    store: ObjectStore
    queue: TaskQueue

    @property
    def limits(self) -> VideoLimits:
        """What a video and its decoder child may take where its team has no limits of its own."""
        settings = self.settings
        return VideoLimits(
            max_pixels=settings.max_video_pixels,
            max_frames=settings.max_video_frames,
            stall_s=settings.stall_s,
            max_bytes=settings.max_video_bytes,
            max_duration_s=settings.max_video_s,
            max_streams=settings.max_video_streams,
            max_cpu_s_per_frame=settings.max_cpu_s_per_frame,
        )

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
