"""Runs as the command line and the API show them. `team` restricts every query to one team; None is the operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from pipeline.core.states import RunState, is_final
from pipeline.db import runs as db
from pipeline.db.chunks import count_chunks, count_computed_with
from pipeline.db.engine import transaction
from pipeline.db.run_ends import mark_cancelled
from pipeline.db.videos import VideoRow, select_video
from pipeline.db.workers import select_workers
from pipeline.services.capabilities import blocking_reason
from pipeline.services.system import System

Run = db.RunRow


@dataclass(frozen=True)
class RunDetail:
    """One run with its video, its chunks and what blocks it.

    Args:
        chunks_by_state: number of chunks in each state that occurs.
        computed_with: number of frames by engine, precision and device.
        blocking_reason: why it makes no progress, None where nothing is known to block it.
    """

    run: Run
    video: VideoRow
    chunks_by_state: Mapping[str, int]
    computed_with: Mapping[str, int]
    blocking_reason: str | None

    def to_dict(self) -> dict[str, object]:
        """The run as JSON fields."""
        run, video = self.run, self.video
        return {
            **to_dict(run),
            "model_fingerprint": run.model_fingerprint,
            "frames_done": run.frames_done,
            "chunks_by_state": self.chunks_by_state,
            "width": video.width,
            "height": video.height,
            "codec": video.codec,
            "sha256": video.sha256,
            "first_pts": video.first_pts,
            "time_base": str(video.time_base) if video.time_base else None,
            "frames_to_decode": run.frames_to_decode,
            "blocking_reason": self.blocking_reason,
            "computed_with": self.computed_with,
        }


@dataclass(frozen=True)
class Cancellation:
    """A run after it was cancelled, and whether that changed it."""

    run_id: UUID
    state: RunState
    was_open: bool

    def to_dict(self) -> dict[str, object]:
        """The cancellation as JSON fields."""
        return {"run": str(self.run_id), "state": self.state, "was_open": self.was_open}


@dataclass(frozen=True)
class RunPoll:
    """What a client that waits for a run asks for again and again."""

    run: Run
    has_workers: bool
    blocking_reason: str | None


def find_run(system: System, prefix: str, *, team: str | None) -> UUID:
    """The id of the run whose id begins with `prefix`.

    Raises:
        NotFound: none or several begin with it.
    """
    with transaction(system.engine) as connection:
        return db.find_run(connection, prefix, team=team)


def list_runs(system: System, *, team: str | None, limit: int) -> list[Run]:
    """The newest runs, newest first."""
    with transaction(system.engine) as connection:
        return db.select_runs(connection, team=team, limit=limit)


def get_run(system: System, run_id: UUID, *, team: str | None) -> RunDetail:
    """One run in detail.

    Raises:
        NotFound: there is no such run, or it is another team's.
    """
    with transaction(system.engine) as connection:
        run = db.select_run(connection, run_id, team=team)
        return RunDetail(
            run,
            select_video(connection, run.video_id, team=team),
            count_chunks(connection, run_id),
            count_computed_with(connection, run_id),
            None if is_final(run.state) else blocking_reason(connection, run_id),
        )


def poll_run(system: System, run_id: UUID, *, team: str | None) -> RunPoll:
    """How far a run is, for a client that waits.

    Raises:
        NotFound: there is no such run, or it is another team's.
    """
    with transaction(system.engine) as connection:
        run = db.select_run(connection, run_id, team=team)
        blocked = None if is_final(run.state) else blocking_reason(connection, run_id)
        return RunPoll(run, bool(select_workers(connection)), blocked)


def cancel_run(system: System, run_id: UUID, *, team: str | None) -> Cancellation:
    """End an open run without results. A run that has ended stays as it is.

    Raises:
        NotFound: there is no such run, or it is another team's.
    """
    with transaction(system.engine) as connection:
        db.select_run(connection, run_id, team=team)
        was_open = mark_cancelled(connection, run_id)
        return Cancellation(run_id, db.select_run(connection, run_id, team=team).state, was_open)


def to_dict(run: Run) -> dict[str, object]:
    """A run as JSON fields, with its summary's once it has ended."""
    took_s = duration_s(run)
    return {
        "run": str(run.id),
        "video": str(run.video_id),
        "name": run.video,
        "team": run.team,
        "model": run.model_name,
        "state": run.state,
        "reason": run.reason,
        "notes": list(run.notes),
        "seconds": took_s,
        "frames_per_second": round(run.frames_done / took_s, 2) if run.frames_done and took_s else None,
        **(run.summary or {}),
    }


def duration_s(run: Run) -> float | None:
    """Seconds from the first chunk's start to the run's end, None before its end. Queue time is excluded."""
    if run.started_at is None or run.finished_at is None:
        return None
    return round((run.finished_at - run.started_at).total_seconds(), 2)
