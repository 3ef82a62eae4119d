"""What the viewer asks for: the video itself, its runs, the times of its frames, their poses, a timeline.

All of it is under the video's own address, so that a link to one video opens these and nothing else.
"""

from __future__ import annotations

import gzip
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, Field

from pipeline.api.access import SystemOf, TeamOfPath, allow
from pipeline.core.roles import Role
from pipeline.core.states import RunState, VideoState
from pipeline.db.runs import RunRow
from pipeline.services.index_cache import IndexCache
from pipeline.services.viewing.runs import Packed, run_segment, run_times
from pipeline.services.viewing.timeline import TimelineCache, run_timeline
from pipeline.services.viewing.video_runs import load_video

router = APIRouter(tags=["viewer"], prefix="/teams/{team_id}/videos/{video_id}")

#: Of what never changes. Private: it is a team's, and no cache between may keep it.
_FOR_EVER = "private, max-age=31536000, immutable"
_PACKED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "Packed."}
}


class RunOfVideo(BaseModel):
    """One analysis of the video by one model."""

    id: UUID
    model: str
    state: RunState
    reason: str | None
    is_current: bool
    frames_done: int
    frames_missing: int
    live: str | None = Field(description="of a kept live session: which of its frames have no poses, in words")
    created_at: datetime
    finished_at: datetime | None


class VideoRuns(BaseModel):
    """A video with its runs: the current one first, then the newest."""

    id: UUID
    name: str
    state: VideoState
    reason: str | None
    width: int | None
    height: int | None
    frames: int | None
    notes: list[str]
    tags: dict[str, str]
    runs: list[RunOfVideo]


class StretchOut(BaseModel):
    """Frames that follow each other: `frames` of them are there, `missing` of these could not be analysed."""

    number: int
    frames: int
    most_people: int
    missing: int


class MissingOut(BaseModel):
    """Frames `[first, stop)` that could not be analysed."""

    first: int
    stop: int
    reason: str


class TimelineOut(BaseModel):
    """A run in stretches of `frames_each` frames; a stretch that is left out has no frames yet.

    `to_come` are frames `[first, stop)` whose poses are still to come; `not_analysed` those whose poses never come,
    since the run was cancelled or failed before.
    """

    run_id: UUID
    state: RunState
    frames: int
    frames_each: int
    stretches: list[StretchOut]
    missing: list[MissingOut]
    to_come: list[tuple[int, int]]
    not_analysed: list[tuple[int, int]]
    final: bool


def _indexes_of(request: Request) -> IndexCache:
    indexes: IndexCache = request.app.state.indexes
    return indexes


def _timelines_of(request: Request) -> TimelineCache:
    timelines: TimelineCache = request.app.state.timelines
    return timelines


IndexesOf = Annotated[IndexCache, Depends(_indexes_of)]
TimelinesOf = Annotated[TimelineCache, Depends(_timelines_of)]
Asked = Annotated[str | None, Header()]


@router.get("/runs", **allow(Role.VIEWER, shared=True))
def get_video_runs(system: SystemOf, team: TeamOfPath, video_id: UUID) -> VideoRuns:
    """The video with its runs."""
    found = load_video(system, video_id, team=team.name)
    video = found.video
    return VideoRuns(
        id=video.id,
        name=video.name,
        state=video.state,
        reason=video.reason,
        width=video.width,
        height=video.height,
        frames=video.frames,
        notes=list(video.notes),
        tags=dict(video.tags),
        runs=[_run_of_video(run) for run in found.runs],
    )


@router.get("/runs/{run_id}/times", response_class=Response, responses=_PACKED, **allow(Role.VIEWER, shared=True))
def get_times(
    system: SystemOf,
    indexes: IndexesOf,
    team: TeamOfPath,
    video_id: UUID,
    run_id: UUID,
    accept_encoding: Asked = None,
) -> Response:
    """The times of the video's frames, and what else is needed to draw poses on it: `PLFT` (docs/viewer.md)."""
    return _packed(run_times(system, indexes, video_id, run_id, team=team.name), accept_encoding)


@router.get(
    "/runs/{run_id}/poses/{segment}", response_class=Response, responses=_PACKED, **allow(Role.VIEWER, shared=True)
)
def get_poses(
    system: SystemOf,
    indexes: IndexesOf,
    team: TeamOfPath,
    video_id: UUID,
    run_id: UUID,
    segment: int,
    accept_encoding: Asked = None,
) -> Response:
    """The poses of up to ten seconds, with those so far while the run goes on: `PLPS` (docs/viewer.md)."""
    return _packed(run_segment(system, indexes, video_id, run_id, segment, team=team.name), accept_encoding)


@router.get("/runs/{run_id}/timeline", **allow(Role.VIEWER, shared=True))
def get_timeline(
    system: SystemOf, timelines: TimelinesOf, response: Response, team: TeamOfPath, video_id: UUID, run_id: UUID
) -> TimelineOut:
    """How many people are in view, what is missing, and what is still to come."""
    found = run_timeline(system, video_id, run_id, team=team.name, cache=timelines)
    if found.final:
        response.headers["Cache-Control"] = "private, max-age=60"
    return TimelineOut(
        run_id=found.run_id,
        state=found.state,
        frames=found.frames,
        frames_each=found.frames_each,
        stretches=[StretchOut(**vars(each)) for each in found.stretches],
        missing=[MissingOut(**vars(each)) for each in found.missing],
        to_come=list(found.to_come),
        not_analysed=list(found.not_analysed),
        final=found.final,
    )


def _packed(packed: Packed, accept_encoding: str | None) -> Response:
    headers = {"Cache-Control": _FOR_EVER if packed.final else "no-store", "Vary": "Accept-Encoding"}
    body = packed.gzipped
    if "gzip" in (accept_encoding or ""):
        headers["Content-Encoding"] = "gzip"
    else:
        body = gzip.decompress(body)
    return Response(body, headers=headers, media_type="application/octet-stream")


def _run_of_video(run: RunRow) -> RunOfVideo:
    return RunOfVideo(
        id=run.id,
        model=run.model_name,
        state=run.state,
        reason=run.reason,
        is_current=run.is_current,
        frames_done=run.frames_done,
        frames_missing=int((run.summary or {}).get("frames_missing", 0)),
        live=None if run.live is None else (run.summary or {}).get("live", {}).get("line", "a live session"),
        created_at=run.created_at,
        finished_at=run.finished_at,
    )
