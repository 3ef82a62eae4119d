"""A clock that a test moves, and work that is done at once: nights of schedules in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from pipeline.core.poses import FramePoses
from pipeline.db.chunks import claim_chunk, commit_chunk
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, encode_frames
from pipeline.services.dispatch import dispatch
from pipeline.services.system import System
from tests.support.harness import sql


class Clock:
    """What time it is for schedules: what the test says."""

    def __init__(self, text: str) -> None:
        self.at = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def __call__(self, _: Connection) -> datetime:
        return self.at

    def move_to(self, text: str) -> None:
        """Go to that time."""
        self.at = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def move(self, **units: float) -> None:
        """Go so many hours, minutes … on."""
        self.at += timedelta(**units)


def with_clock(system: System, clock: Callable[[Connection], datetime]) -> System:
    """The same system by another clock."""
    return replace(system, clock=clock)


def analyse(system: System, most: int | None = None) -> int:
    """Analyse what is dispatched, chunk by chunk, until nothing more is, or `most` chunks are done; runs that are to be
    finished become done. Returns how many chunks were analysed."""
    count = 0
    while most is None or count < most:
        dispatch(system)
        queued = sql(
            system, "SELECT run_id, idx FROM chunk WHERE state = 'queued' ORDER BY queued_at, run_id, idx LIMIT 1"
        )
        if not queued:
            break
        [(run_id, idx)] = queued
        with transaction(system.engine) as connection:
            claimed = claim_chunk(connection, run_id, idx, "w", 60)  # type: ignore[arg-type]
        assert claimed is not None
        first = claimed.plan.first_frame
        rows = [FrameRow(at, at, FramePoses.empty()) for at in range(first, first + claimed.plan.frames)]
        with transaction(system.engine) as connection:
            commit_chunk(connection, claimed, encode_frames(claimed.run_id, claimed.lease.key[-1], rows))  # type: ignore[arg-type]
        count += 1
        sql(system, "UPDATE run SET state = 'done', finished_at = now() WHERE state = 'finishing'")
    return count
