"""A team's runs: asked for, listed, waited for, cancelled, tried again, verified."""

from __future__ import annotations

import threading
from datetime import datetime
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from pipeline.api.access import CallerOf, SystemOf, TeamOfPath, allow
from pipeline.api.answers import tagged
from pipeline.api.heavy import one_at_a_time, while_wanted
from pipeline.api.run_models import (
    CancellationOut,
    FoundRuns,
    Pauses,
    PollOut,
    RequestOut,
    RetryOut,
    RunDetailOut,
    RunPageOut,
    RunsAsked,
    RunWanted,
    VerdictOut,
)
from pipeline.api.videos import After, Limit, Tag, tags_of
from pipeline.core.audit import Action
from pipeline.core.fair_share import LANES
from pipeline.core.roles import Role
from pipeline.core.states import RunState
from pipeline.errors import UnknownLane, UsageError
from pipeline.services.accounts.audit import note_done
from pipeline.services.apart import verify_apart
from pipeline.services.cancel import cancel_run
from pipeline.services.pause import list_pauses
from pipeline.services.retry import retry
from pipeline.services.run_list import ask_for_run, list_run_page
from pipeline.services.runs import find_run, find_runs_by_tags, get_run, poll_runs, to_dict
from pipeline.services.system import System
from pipeline.services.verify import current_runs

router = APIRouter(tags=["runs"])

_RUNS = "/teams/{team_id}/runs"
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", description="Your own name for this question: asked again, it has the same answer."
    ),
]


@router.get(_RUNS, response_model=RunPageOut, **allow(Role.VIEWER))
def get_runs(
    system: SystemOf,
    team: TeamOfPath,
    request: Request,
    state: Annotated[list[RunState], Query(description="In this state; repeatable: any of them.")] = [],  # noqa: B006
    since: Annotated[datetime | None, Query(description="Asked for then or later.")] = None,
    name: Annotated[str | None, Query(description="A part of the video's name.", max_length=500)] = None,
    tag: Tag = [],  # noqa: B006
    after: After = None,
    limit: Limit = 50,
) -> Response:
    """The team's runs, the newest first: what `poseline runs --json` prints."""
    page = list_run_page(
        system, team.id, after=after, limit=limit, states=state, since=since, name=name, tags=tags_of(tag)
    )
    return tagged(request, {"items": [to_dict(run) for run in page.runs], "next": page.next and str(page.next)})


@router.post(_RUNS, **allow(Role.COACH))
def post_run(
    system: SystemOf, team: TeamOfPath, caller: CallerOf, wanted: RunWanted, key: IdempotencyKey = None
) -> RequestOut:
    """Analyse a video by a model. The same video and model are the same run, unless that failed or was cancelled."""
    if wanted.lane not in LANES:
        raise UnknownLane(f"there is no lane {wanted.lane!r}; the lanes are {', '.join(LANES)}")
    found = ask_for_run(
        system,
        wanted.video_id,
        wanted.model,
        team=team.name,
        team_id=team.id,
        key=key,
        lane=wanted.lane,
        deadline=wanted.deadline,
    )
    if not found.existed:
        note_done(system, caller, Action.RUN_REQUESTED, team_id=team.id, subject=str(found.run_id))
    return RequestOut(run_id=found.run_id, existed=found.existed)


@router.get(f"{_RUNS}/named", **allow(Role.VIEWER))
def get_named_runs(
    system: SystemOf,
    team: TeamOfPath,
    called: Annotated[str | None, Query(description="A video's name, or the first characters of a run's id.")] = None,
    tag: Tag = [],  # noqa: B006
    prefer: Literal["current", "newest", "open", "done"] = "newest",
) -> FoundRuns:
    """The run that is meant by a name, or one of each video with all these tags; without either, every current run."""
    tags = tags_of(tag)
    if called is not None and tags:
        raise UsageError("give `called` or `tag`, not both")
    if called is not None:
        return FoundRuns(run_ids=[find_run(system, called, team=team.name, prefer=prefer)])
    if tags:
        return FoundRuns(run_ids=find_runs_by_tags(system, tags, team=team.name, prefer=prefer))
    return FoundRuns(run_ids=current_runs(system, team=team.name))


@router.post(f"{_RUNS}/poll", response_model=PollOut, **allow(Role.VIEWER))
def post_poll(system: SystemOf, team: TeamOfPath, request: Request, asked: RunsAsked) -> Response:
    """Many runs as they are now, for a client that waits for them. Runs that are not the team's are left out."""
    poll = poll_runs(system, asked.run_ids, team=team.name)
    reasons = {str(run_id): reason for run_id, reason in poll.blocking_reasons.items()}
    runs = [to_dict(run) for run in poll.runs]
    return tagged(request, {"runs": runs, "has_workers": poll.has_workers, "blocking_reasons": reasons})


@router.get(f"{_RUNS}/{{run_id}}", response_model=RunDetailOut, **allow(Role.VIEWER))
def get_one_run(system: SystemOf, team: TeamOfPath, request: Request, run_id: UUID) -> Response:
    """One run: what `poseline show --json` prints."""
    return tagged(request, get_run(system, run_id, team=team.name).to_dict())


@router.post(f"{_RUNS}/{{run_id}}/cancel", **allow(Role.COACH))
def post_cancel(system: SystemOf, team: TeamOfPath, caller: CallerOf, run_id: UUID) -> CancellationOut:
    """End an open run. Its frames so far are kept; one that has ended stays as it is."""
    done = cancel_run(system, run_id, team=team.name)
    if done.was_open:
        note_done(system, caller, Action.RUN_CANCELLED, team_id=team.id, subject=str(run_id))
    return CancellationOut.model_validate(done.to_dict())


@router.post(f"{_RUNS}/{{run_id}}/retry", **allow(Role.COACH))
def post_retry(system: SystemOf, team: TeamOfPath, caller: CallerOf, run_id: UUID) -> RetryOut:
    """Try again what failed, was cancelled, or was given up: as a new run, or the parts that were given up alone."""
    get_run(system, run_id, team=team.name)
    done = retry(system, str(run_id), team=team.name)
    if done.action != "none":
        note_done(system, caller, Action.RUN_REQUESTED, team_id=team.id, subject=str(done.new_run_id or run_id))
    return RetryOut.model_validate(done.to_dict())


@router.post(f"{_RUNS}/{{run_id}}/verify", **allow(Role.VIEWER))
async def post_verify(request: Request, system: SystemOf, team: TeamOfPath, run_id: UUID) -> VerdictOut:
    """Read the stored video again, and compare every frame of a run that is done with it.

    That takes a while; whoever closes the connection ends it.
    """
    return await while_wanted(request, partial(_verify, system, run_id, team.name))


def _verify(system: System, run_id: UUID, team: str, gone: threading.Event) -> VerdictOut:
    get_run(system, run_id, team=team)
    with one_at_a_time(gone):
        return VerdictOut.model_validate(verify_apart(system, run_id, gone=gone))


@router.get("/teams/{team_id}/pauses", **allow(Role.VIEWER))
def get_pauses(system: SystemOf, team: TeamOfPath) -> Pauses:
    """What is paused: the team, or lanes."""
    own = [one for one in list_pauses(system) if one.kind == "lane" or one.name == team.name]
    return Pauses.model_validate({"items": [one.__dict__ for one in own]})
