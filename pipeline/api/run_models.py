"""Runs as the API describes them: the fields that `poseline runs --json` and `poseline show --json` print."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from pipeline.api.body import Body


class RunOut(BaseModel):
    """The analysis of one video by one model. What is only there once it is done is marked so."""

    model_config = ConfigDict(extra="allow")

    run_id: UUID
    video_id: UUID
    video: str
    team: str
    model: str
    fingerprint: str
    state: str
    video_state: str
    reason: str | None
    notes: list[str]
    tags: dict[str, str]
    lane: str
    deadline: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    is_current: bool
    promotion: str
    paused_since: datetime | None
    took_s: float | None
    frames: int | None
    frames_done: int
    video_s: float | None
    frames_per_second: float | None
    frames_missing: int | None = Field(default=None, description="Once it is done.")
    frames_with_people: int | None = Field(default=None, description="Once it is done.")
    poses: int | None = Field(default=None, description="Once it is done.")
    most_people: int | None = Field(default=None, description="Once it is done: in one frame.")
    confidence: float | None = Field(default=None, description="Once it is done: the mean of all keypoints.")


class RunDetailOut(RunOut):
    """A run with its video's properties, its chunks and what blocks it."""

    chunks_by_state: dict[str, int]
    width: int | None
    height: int | None
    codec: str | None
    sha256: str | None
    time_base: str | None
    blocking_reason: str | None
    computed_with: dict[str, int]


class RunPageOut(BaseModel):
    """Runs, the newest first; `next` is `after` of the page that follows."""

    items: list[RunOut]
    next: str | None


class RunWanted(Body):
    """Which video is to be analysed, and by which model."""

    video_id: UUID
    model: str = Field(examples=["rtmo-t"])
    lane: str = "fresh"
    deadline: datetime | None = None


class RequestOut(BaseModel):
    """A run that was asked for; `existed` where it had been asked for before."""

    run_id: UUID
    existed: bool


class RunsAsked(Body):
    """Runs by their ids."""

    run_ids: list[UUID] = Field(max_length=2000)


class PollOut(BaseModel):
    """Runs as they are now, and what blocks the first few that are open."""

    runs: list[RunOut]
    has_workers: bool
    blocking_reasons: dict[UUID, str]


class FoundRuns(BaseModel):
    """The runs that were meant."""

    run_ids: list[UUID]


class CancellationOut(BaseModel):
    """A run after it was cancelled; `was_open` whether that changed it."""

    run_id: UUID
    state: str
    was_open: bool


class RetryOut(BaseModel):
    """What was done to try a run again; `new_run_id` takes its place."""

    run_id: UUID
    video: str
    action: str
    new_run_id: UUID | None
    chunks: int
    message: str


class CheckOut(BaseModel):
    """One thing that was checked."""

    what: str
    good: bool
    found: str


class VerdictOut(BaseModel):
    """Whether a run is what its stored video says."""

    run_id: UUID
    good: bool
    checks: list[CheckOut]


class PauseOut(BaseModel):
    """A team or lane of which no more work is sent to workers."""

    kind: str
    name: str
    since: datetime


class Pauses(BaseModel):
    """What is paused of the team and of the lanes."""

    items: list[PauseOut]
