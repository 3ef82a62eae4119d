"""Runs as the command line and the API show them. `team` restricts every query to one team; None is the operator."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pipeline.core.comparison_figures import ComparisonFigures
from pipeline.core.states import RunState, VideoState, is_final
from pipeline.core.tags import Tags, format_tags
from pipeline.db import runs as db
from pipeline.db.chunks import GivenUp, count_chunks, count_computed_with, count_suspects, select_given_up
from pipeline.db.comparisons import select_comparison
from pipeline.db.engine import transaction
from pipeline.db.promotions import PromotionRow, select_decision
from pipeline.db.run_search import find_by_id, find_by_video_name, select_runs, select_runs_by_id
from pipeline.db.videos import VideoRow, select_video
from pipeline.db.workers import select_workers
from pipeline.errors import NotFound
from pipeline.services.capabilities import blocking_reason
from pipeline.services.suspects import SUSPECT_DEATHS
from pipeline.services.system import System
from pipeline.services.teams import require_team
from pipeline.services.upload_steps import printable

Run = db.RunRow
#: How many open runs of a poll are asked what blocks them: each costs a query.
_BLOCKING_REASONS = 5


@dataclass(frozen=True)
class RunDetail:
    """One run with its video, its chunks and what blocks it.

    Args:
        chunks_by_state: number of chunks in each state that occurs.
        computed_with: number of frames by engine, precision and device.
        blocking_reason: why it makes no progress, None where nothing is known to block it.
        suspects: number of open chunks that are tried alone, because workers died that had them.
        given_up: chunks that were quarantined.
        decision: the newest entry of the history on this run: whether it became current, and why.
        against: the id of the run that was current when this one was finished, and how this one differs.
    """

    run: Run
    video: VideoRow
    chunks_by_state: Mapping[str, int]
    computed_with: Mapping[str, int]
    blocking_reason: str | None
    suspects: int = 0
    given_up: Sequence[GivenUp] = ()
    decision: PromotionRow | None = None
    against: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, object]:
        """The run as JSON fields."""
        run, video = self.run, self.video
        return {
            **to_dict(run),
            "chunks_by_state": self.chunks_by_state,
            "width": video.width,
            "height": video.height,
            "codec": video.codec,
            "sha256": video.sha256,
            "source": f"s3://{video.source.bucket}/{video.source.key}" if video.source and not video.owned else None,
            "source_gone_at": video.source_gone_at.isoformat() if video.source_gone_at else None,
            "original_removed_at": video.original_removed_at and video.original_removed_at.isoformat(),
            "first_pts": video.first_pts,
            "time_base": str(video.time_base) if video.time_base else None,
            "frames_to_decode": run.frames_to_decode,
            "blocking_reason": self.blocking_reason,
            "computed_with": self.computed_with,
            "chunks_tried_alone": self.suspects,
            "given_up": [asdict(each) for each in self.given_up],
            "decision": self.decision
            and {
                "promoted": self.decision.promoted,
                "at": self.decision.at.isoformat(),
                "by": self.decision.by,
                "reason": self.decision.reason,
            },
            "comparison": self.against and dict(self.against),
        }


#: Which run of a video to take if it has several: the video's current one, the newest, or the newest that is open, or
#: done.
Preference = Literal["current", "newest", "open", "done"]


@dataclass(frozen=True)
class RunsPoll:
    """What a client that waits for runs asks for again and again.

    Args:
        has_workers: whether one takes work.
        blocking_reasons: why runs make no progress, by run; of the first few that are open.
    """

    runs: Sequence[Run]
    has_workers: bool
    blocking_reasons: Mapping[UUID, str]


def find_run(system: System, name_or_id: str, *, team: str | None, prefer: Preference = "newest") -> UUID:
    """The id of a run by its video's name, with or without the ending, or by the first characters of its id.

    Raises:
        NotFound: there is none, or it is not clear which is meant.
        UnknownTeam: there is no such team.
    """
    name_or_id = printable(name_or_id.rpartition("/")[2])  # the path of the file names it, too
    with transaction(system.engine) as connection:
        found = find_by_video_name(connection, name_or_id, team=team)
        by_name = bool(found)
        found = found or find_by_id(connection, name_or_id, team=team)
    if by_name:  # a video that was refused is not meant where another of its name was taken in
        found = [run for run in found if run.video_state is not VideoState.REJECTED] or found[:1]
    if by_name and prefer == "open":
        found = [run for run in found if not is_final(run.state)] or found
    if not found:
        if team is not None:
            require_team(system, team)
        whose = "" if team is None else f" of team {team}"
        raise NotFound(f"no video or run{whose} is called {name_or_id!r}; `poseline runs` lists them")
    if len(found) > 1 and (not by_name or len({run.video_id for run in found}) > 1):
        listed = ", ".join(
            f"{short_id(run.id)} ({run.video}, team {run.team}, {run.model_name}, {run.state}, "
            f"{run.created_at.astimezone():%Y-%m-%d %H:%M})"
            for run in found[:6]
        )
        raise NotFound(
            f"{name_or_id!r} may be {len(found)} runs: {listed}{', …' if len(found) > 6 else ''}; name one by its id"
        )
    if prefer == "current":
        found = [run for run in found if run.is_current] or found
    if prefer in {"current", "done"}:
        done = [run for run in found if run.state is RunState.DONE]
        found = sorted(done, key=lambda run: run.finished_at or run.created_at, reverse=True) or found
    return found[0].id


def find_runs_by_tags(system: System, tags: Tags, *, team: str | None, prefer: Preference) -> list[UUID]:
    """One run of each video that has all these tags, the newest first; of `open` every run that is open, of `newest`
    the newest by each model.

    Raises:
        NotFound: there is none.
        UnknownTeam: there is no such team.
    """
    with transaction(system.engine) as connection:
        found = select_runs(connection, team=team, limit=None, tags=tags)
    if not found and team is not None:
        require_team(system, team)
    if prefer == "open":
        chosen = [run.id for run in found if not is_final(run.state)]
    elif prefer == "newest":
        newest_by_model = {(run.video_id, run.model_fingerprint): run.id for run in reversed(found)}
        chosen = list(reversed(newest_by_model.values()))
    else:
        chosen = [run.id for run in found if run.is_current and run.state is RunState.DONE]
    if not chosen:
        which = {"open": "open run", "newest": "run"}.get(prefer, "run that is done")
        raise NotFound(f"no {which} has a video tagged {format_tags(tags)}; `poseline runs --tag …` lists them")
    return chosen


def list_runs(
    system: System,
    *,
    team: str | None,
    limit: int,
    states: Collection[RunState] = (),
    since: datetime | None = None,
    name: str | None = None,
    tags: Tags | None = None,
) -> list[Run]:
    """The newest runs, newest first: those in `states`, requested `since`, whose video's name contains `name`, and
    whose video has all `tags`.

    Raises:
        UnknownTeam: there is no such team.
    """
    with transaction(system.engine) as connection:
        found = select_runs(connection, team=team, limit=limit, states=states, since=since, name=name, tags=tags)
    if not found and team is not None:
        require_team(system, team)
    return found


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
            0 if is_final(run.state) else count_suspects(connection, run_id, SUSPECT_DEATHS),
            select_given_up(connection, run_id),
            select_decision(connection, run_id),
            _in_short(select_comparison(connection, run_id)),
        )


def _in_short(found: tuple[UUID, ComparisonFigures] | None) -> dict[str, Any] | None:
    return None if found is None else {"against_run_id": str(found[0]), **found[1].in_short()}


def poll_runs(system: System, run_ids: Collection[UUID], *, team: str | None) -> RunsPoll:
    """How far runs are, for a client that waits. Runs that are not that team's are left out."""
    with transaction(system.engine) as connection:
        runs = select_runs_by_id(connection, run_ids, team=team)
        open_ids = [run.id for run in runs if not is_final(run.state)][:_BLOCKING_REASONS]
        reasons = {run_id: blocking_reason(connection, run_id) for run_id in open_ids}
        known = {run_id: reason for run_id, reason in reasons.items() if reason is not None}
        return RunsPoll(runs, any(worker.draining_at is None for worker in select_workers(connection)), known)


def to_dict(run: Run) -> dict[str, object]:
    """A run as JSON fields, with its summary's once it has ended."""
    took_s = duration_s(run)
    return {
        "run_id": str(run.id),
        "video_id": str(run.video_id),
        "video": run.video,
        "team": run.team,
        "model": run.model_name,
        "fingerprint": run.model_fingerprint,
        "state": run.state,
        "video_state": run.video_state,
        "reason": run.reason,
        "notes": list(run.notes),
        "tags": dict(run.tags),
        "lane": run.lane,
        "deadline": run.deadline and run.deadline.isoformat(),
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at and run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "is_current": run.is_current,
        "promotion": run.promotion,
        "paused_since": run.paused_at.isoformat() if is_held_back(run) and run.paused_at else None,
        "took_s": took_s,
        "frames": run.frames,
        "frames_done": run.frames_done,
        "video_s": run.video_s,
        "frames_per_second": round(run.frames_done / took_s, 2) if run.frames_done and took_s else None,
        **(run.summary or {}),
    }


def is_held_back(run: Run) -> bool:
    """Whether a run has not ended and its team or lane is paused."""
    return run.paused_at is not None and not is_final(run.state)


def duration_s(run: Run) -> float | None:
    """Seconds from the first chunk's start to the run's end, None before its end. Queue time is excluded."""
    if run.started_at is None or run.finished_at is None:
        return None
    return round((run.finished_at - run.started_at).total_seconds(), 2)


def short_id(run_id: UUID) -> str:
    """The first characters of a run's id, enough to name it."""
    return str(run_id)[:8]
