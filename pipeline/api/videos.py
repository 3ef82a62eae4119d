"""A team's videos: listed, shown, tagged, erased."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from pipeline.api.access import CallerOf, SystemOf, TeamOfPath, allow
from pipeline.api.answers import tagged
from pipeline.api.body import Body
from pipeline.api.run_models import RunOut
from pipeline.core.audit import Action
from pipeline.core.roles import Role
from pipeline.core.tags import Tags, parse_tags
from pipeline.db.listed_videos import Wanted
from pipeline.errors import UsageError
from pipeline.services.accounts.audit import note_done
from pipeline.services.erase.targets import asked_video, begin_erasure
from pipeline.services.erase.work import go_on
from pipeline.services.run_list import list_runs_of_video
from pipeline.services.runs import to_dict
from pipeline.services.tags import change_tags
from pipeline.services.video_list import get_video, list_videos
from pipeline.services.video_list import to_dict as video_dict

router = APIRouter(tags=["videos"])

#: For so long an erasure is waited for; beat's ticks finish what takes longer.
_WAIT_S = 5.0
Tag = Annotated[
    list[str], Query(description="KEY=VALUE, a tag of the video; repeatable: all of them.", examples=[["season=2026"]])
]
Limit = Annotated[int, Query(ge=1, le=200)]
After = Annotated[str | None, Query(description="The `next` of the page before.")]


class NewestRunOut(BaseModel):
    """A video's newest run. `frames_done` of `frames` are analysed."""

    run_id: UUID
    model: str
    state: str
    reason: str | None
    frames_done: int
    frames: int | None
    frames_missing: int | None
    most_people: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    paused: bool


class VideoOut(BaseModel):
    """A video. `state` is its own until it can be analysed, then that of its newest run; `ready` where it has none."""

    video_id: UUID
    name: str
    state: str
    reason: str | None
    created_at: datetime
    size_bytes: int | None
    width: int | None
    height: int | None
    codec: str | None
    frames: int | None
    video_s: float | None
    notes: list[str]
    tags: dict[str, str]
    current_run_id: UUID | None
    models: list[str]
    run: NewestRunOut | None


class VideoPage(BaseModel):
    """Videos, the newest first; `next` is `after` of the page that follows."""

    items: list[VideoOut]
    next: str | None


class VideoDetail(VideoOut):
    """A video with all its runs, the newest first."""

    runs: list[RunOut]


class TagChanges(Body):
    """Tags to set; null removes one. Those that are not named stay."""

    tags: dict[str, str | None] = Field(examples=[{"season": "2026", "camera": None}])


class TaggedOut(BaseModel):
    """A video's tags after a change."""

    video_id: UUID
    video: str
    team: str
    tags: dict[str, str]


class Confirmation(Body):
    """The name of the video that is to be erased for good."""

    confirm: str = Field(examples=["sprint.mp4"])


class ErasureOut(BaseModel):
    """An erasure. What is not finished goes on by itself."""

    erasure_id: UUID
    finished: bool


@router.get("/teams/{team_id}/videos", response_model=VideoPage, **allow(Role.VIEWER))
def get_videos(
    system: SystemOf,
    team: TeamOfPath,
    request: Request,
    name: Annotated[str | None, Query(description="A part of its name.", max_length=500)] = None,
    tag: Tag = [],  # noqa: B006
    state: Annotated[list[str], Query(description="In this state; repeatable: any of them.")] = [],  # noqa: B006
    since: Annotated[datetime | None, Query(description="Added then or later.")] = None,
    before: Annotated[datetime | None, Query(description="Added earlier.")] = None,
    after: After = None,
    limit: Limit = 50,
) -> Response:
    """The team's videos, the newest first, each with its newest run and how far that is."""
    wanted = Wanted(name, tags_of(tag), state, since, before)
    return tagged(request, list_videos(system, team.id, wanted, after=after, limit=limit).to_dict())


@router.get("/teams/{team_id}/videos/{video_id}", response_model=VideoDetail, **allow(Role.VIEWER, shared=True))
def get_one_video(system: SystemOf, team: TeamOfPath, request: Request, video_id: UUID) -> Response:
    """One video with its runs."""
    video = video_dict(get_video(system, team.id, video_id))
    runs = [to_dict(run) for run in list_runs_of_video(system, video_id, team=team.name)]
    return tagged(request, {**video, "runs": runs})


@router.patch("/teams/{team_id}/videos/{video_id}", **allow(Role.COACH))
def patch_video(system: SystemOf, team: TeamOfPath, caller: CallerOf, video_id: UUID, changes: TagChanges) -> TaggedOut:
    """Change a video's tags."""
    wanted = {key: value for key, value in changes.tags.items() if value is not None}
    removed = {key for key, value in changes.tags.items() if value is None}
    found = change_tags(system, video_id, team=team.name, tags=wanted, remove=removed)
    note_done(system, caller, Action.TAGS_CHANGED, team_id=team.id, subject=str(video_id))
    return TaggedOut.model_validate(found.to_dict())


@router.delete("/teams/{team_id}/videos/{video_id}", **allow(Role.COACH))
def delete_video(
    system: SystemOf, team: TeamOfPath, caller: CallerOf, video_id: UUID, given: Confirmation
) -> ErasureOut:
    """Erase a video for good: with every upload of its content, its runs, poses and exports. `confirm` is its name."""
    asked = asked_video(system, video_id, team=team.name)
    if given.confirm != asked.confirmation:
        raise UsageError(f"this erases {asked.confirmation} for good; to confirm it, send its name as `confirm`")
    erasure_id = begin_erasure(system, asked, caller.name)
    note_done(system, caller, Action.VIDEO_DELETED, team_id=team.id, erasure=str(erasure_id))
    return ErasureOut(erasure_id=erasure_id, finished=go_on(system, erasure_id, until=time.monotonic() + _WAIT_S))


def tags_of(texts: list[str]) -> Tags | None:
    """Tags of a query; None where it has none.

    Raises:
        UsageError: one is not of the form KEY=VALUE.
    """
    try:
        return parse_tags(texts) or None
    except ValueError as error:
        raise UsageError(str(error)) from error
