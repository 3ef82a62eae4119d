"""What changes of a team's videos: as server-sent events, or asked for again and again."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from pipeline.api.access import SystemOf, TeamOfPath, allow, still_allowed
from pipeline.api.answers import tagged
from pipeline.api.feed import Feed
from pipeline.api.videos import VideoOut
from pipeline.core.roles import Role
from pipeline.errors import UsageError
from pipeline.services.video_list import read_changes

router = APIRouter(tags=["events"])


class ChangesOut(BaseModel):
    """What changed of a team's videos.

    `count` is that of all its videos; where it is not what a client expects, a video was erased. Where `complete` is
    false, too much changed to be told one by one: read the list anew. `next` is `after` of the next time.
    """

    videos: list[VideoOut]
    count: int
    complete: bool
    next: str


@router.get("/teams/{team_id}/changes", response_model=ChangesOut, **allow(Role.VIEWER))
def get_changes(
    system: SystemOf,
    team: TeamOfPath,
    request: Request,
    after: Annotated[
        str | None, Query(description="The `next` of the changes before; without it, only `next`.")
    ] = None,
) -> Response:
    """The videos that changed since the last time, and those that are being analysed, as they are now."""
    return tagged(request, read_changes(system, team.id, _time(after)).to_dict())


@router.get(
    "/teams/{team_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Events called `changes`, as /changes has them."}
    },
    **allow(Role.VIEWER),
)
def get_events(
    system: SystemOf,
    request: Request,
    team: TeamOfPath,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
    after: Annotated[str | None, Query(description="As Last-Event-ID, for the first time.")] = None,
) -> Response:
    """The same as server-sent events, as soon as something changes.

    After five minutes the stream ends, and is asked for again from where it was.
    """
    feed: Feed = request.app.state.feed
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    may_listen = partial(still_allowed, request, system, team.id, Role.VIEWER)
    stream = feed.listen(UUID(str(team.id)), _time(last_event_id or after), may_listen)
    return StreamingResponse(stream, headers=headers, media_type="text/event-stream")


def _time(text: str | None) -> datetime | None:
    """When the changes before were asked for.

    Raises:
        UsageError: it is not the `next` of changes.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError("after: it is not the `next` of changes; ask without it, and read the list anew")
    return found
