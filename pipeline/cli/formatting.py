"""A run, for a script and in a coach's words."""

from __future__ import annotations

from pipeline.db.runs import RunRow


def facts(run: RunRow) -> dict[str, object]:
    """A run for a script."""
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
        "frames_per_second": round(run.frames / took_s, 2) if run.frames and took_s else None,
        **(run.summary or {}),
    }


def duration_s(run: RunRow) -> float | None:
    """Seconds from the first chunk's begin to the end: what waited in the queue before is not the analysis's."""
    begun_at = run.began_at or run.started_at
    if begun_at is None or run.finished_at is None:
        return None
    return round((run.finished_at - begun_at).total_seconds(), 2)


def summary_line(run: RunRow) -> str:
    """A run in a coach's words."""
    summary, took_s = run.summary or {}, duration_s(run) or 0.0
    frames, seen = summary["frames"], summary["frames_with_people"]
    words = (
        f"{_count(frames, 'frame')} ({summary['video_s']:.1f} s of video), people in {seen} of them, "
        f"{summary['most_people']} at once at most, {_count(summary['poses'], 'pose')}; "
        f"{took_s:.1f} s, {frames / max(took_s, 0.01):.1f} frames/s"
    )
    missing = summary["frames_missing"]
    return words + (f"; {_count(missing, 'frame')} could not be analysed" if missing else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
