"""Runs by pages and by video, and runs that are asked for with a key so that the same question has the same answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pipeline.core.cursors import Cursor
from pipeline.core.states import RunState
from pipeline.core.tags import Tags
from pipeline.db.engine import transaction
from pipeline.db.run_requests import find_request, keep_request
from pipeline.db.run_search import select_run_page, select_runs_of_video
from pipeline.db.videos import select_video
from pipeline.errors import UsageError
from pipeline.services.request import Request, request_run
from pipeline.services.runs import Run
from pipeline.services.system import System

_LONGEST_KEY = 200


@dataclass(frozen=True)
class RunPage:
    """A page of runs, and where the next begins; None after the last."""

    runs: Sequence[Run]
    next: Cursor | None


def list_run_page(
    system: System,
    team_id: UUID,
    *,
    after: str | None,
    limit: int,
    states: Collection[RunState] = (),
    since: datetime | None = None,
    name: str | None = None,
    tags: Tags | None = None,
) -> RunPage:
    """A page of a team's runs, the newest first; narrowed as `list_runs`.

    Raises:
        UsageError: `after` is not the `next` of a page.
    """
    try:
        cursor = None if after is None else Cursor.parse(after)
    except ValueError as error:
        raise UsageError(f"after: {error}") from error
    with transaction(system.engine) as connection:
        found = select_run_page(
            connection, team_id, after=cursor, limit=limit + 1, states=states, since=since, name=name, tags=tags
        )
    page = found[:limit]
    return RunPage(page, Cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None)


def list_runs_of_video(system: System, video_id: UUID, *, team: str | None) -> list[Run]:
    """A video's runs, the newest first.

    Raises:
        NotFound: there is no such video, or it is another team's.
    """
    with transaction(system.engine) as connection:
        select_video(connection, video_id, team=team)
        return select_runs_of_video(connection, video_id, team=team)


def ask_for_run(
    system: System,
    video_id: UUID,
    model_name: str,
    *,
    team: str,
    team_id: UUID,
    key: str | None = None,
    lane: str = "fresh",
    deadline: datetime | None = None,
) -> Request:
    """The run of a team's video by a model, as `request_run`; with a key that was used before, the run of that time.

    Raises:
        NotFound: there is no such video, or it is another team's.
        UsageError: the key is too long, or was used to ask for something else.
    """
    if key is not None and len(key) > _LONGEST_KEY:
        raise UsageError(f"an Idempotency-Key may have {_LONGEST_KEY} characters")
    asked = _sha256(json.dumps([str(video_id), model_name, lane, deadline and deadline.isoformat()]))
    with transaction(system.engine) as connection:
        select_video(connection, video_id, team=team)
        before = None if key is None else find_request(connection, team_id, _sha256(key))
    if before is not None:
        if before.asked_sha256 != asked:
            raise UsageError("this Idempotency-Key was used to ask for another run; take a new one for each question")
        return Request(before.run_id, existed=True)
    found = request_run(system, video_id, model_name, lane=lane, deadline=deadline)
    if key is not None:
        with transaction(system.engine) as connection:
            keep_request(connection, team_id, _sha256(key), asked, found.run_id)
    return found


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
