"""The poses of one chunk's frames: what a worker's slot computes, and the process that tries a suspect alone."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from typing import Protocol

from pipeline.db.chunks import ClaimedChunk
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameSpool
from pipeline.db.videos import select_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.pose_frames import iter_pose_rows
from pipeline.services.system import System
from pipeline.services.teams import limits_of_ready
from pipeline.storage.blocks import ObjectSource
from pipeline.video.reader import VideoReader

#: TensorRT builds its engines for minutes, and a slow object store sends weights for as long.
LONGEST_LOAD_S = 1800


class Pulse(Protocol):
    """Where work shows that it goes on, and learns that it should not: see `LeaseHeartbeat`."""

    interrupted: threading.Event

    def advance(self, amount: int = 1) -> None:
        """Count frames."""

    def note_alive(self) -> None:
        """Note that the work goes on although nothing was finished."""

    def assume_alive(self, at_most_s: float) -> AbstractContextManager[None]:
        """Cover work that shows no progress."""

    def check(self) -> None:
        """Break off where there is no point in going on."""


def find_poses(spool: FrameSpool, system: System, models: ModelCache, claimed: ClaimedChunk, pulse: Pulse) -> str:
    """Add the poses of the chunk's frames to the spool. Returns the engine and device that computed them."""
    with transaction(system.engine) as connection:
        video = select_video(connection, claimed.video_id, team=None)
        index = system.indexes.get(connection, claimed.video_id)
    assert video.source is not None
    system.store.check_unchanged(video.source)
    limits = limits_of_ready(system, video)
    with pulse.assume_alive(LONGEST_LOAD_S):
        model = models.load(claimed.model_fingerprint, pulse.interrupted)
    first, stop = claimed.plan.first_frame, claimed.plan.first_frame + claimed.plan.frames
    reader = VideoReader(ObjectSource(system.store, video.source), index, video.size, limits)
    batch = reader.batch_within(model.spec.side_px, model.batch)
    # Frames before the chunk's own are decoded too, and may take long: a tick is a sign of work.
    frames = reader.frames(
        first, stop, model.spec.side_px, batch=batch, interrupted=pulse.interrupted, on_tick=pulse.note_alive
    )
    begun_s = time.monotonic()
    for row in iter_pose_rows(frames, model, index, first, stop, batch):
        spool.add(row)
        pulse.advance()
        pulse.check()
        pulse.interrupted.wait(system.rest_s(time.monotonic() - begun_s))
        begun_s = time.monotonic()
    return model.device.summary
