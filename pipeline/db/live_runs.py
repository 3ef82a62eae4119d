"""What a kept live session becomes: a video that is being stored, and its run, which waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, FromClause, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.precision import Precision
from pipeline.core.states import RunState, VideoState
from pipeline.db.tables import live_session, run, team, video

#: The key in a run's parameters under which its session is.
PARAM = "live"
#: A live run is computed by nobody: any worker fetches its poses, whatever the model's precision.
_FETCHED_AS: Precision = "fp32"


@dataclass(frozen=True)
class KeptSession:
    """A session that is to be kept.

    Args:
        account_id, key_id: of who began it.
        video_id: of the video that it is being made; None before, and once that was erased.
        video_state: of that.
        key: of its object.
    """

    team_id: UUID
    team: str
    begun_at: datetime
    account_id: UUID | None
    video_id: UUID | None
    video_state: VideoState | None
    key: str | None


def is_live(of: FromClause = run) -> ColumnElement[bool]:
    """SQL: whether a run has the poses of a live session. Such a run stands in the way of none that is computed."""
    return of.c.params.has_key(PARAM)  # type: ignore[no-any-return]


def lock_kept(connection: Connection, session_id: UUID) -> KeptSession | None:
    """Lock a session that is to be kept until the transaction ends; None where it went with its team, or long ago."""
    of = live_session.c
    row = connection.execute(
        select(of.team_id, team.c.name.label("team"), of.begun_at, of.account_id, of.video_id)
        .join(team, team.c.id == of.team_id)
        .where(of.id == session_id, of.keep)
        .with_for_update(of=live_session)
    ).first()
    if row is None:
        return None
    of_video = connection.execute(select(video.c.state, video.c.object_key).where(video.c.id == row.video_id)).first()
    state, key = (None, None) if of_video is None else (VideoState(of_video.state), of_video.object_key)
    return KeptSession(**row._mapping, video_state=state, key=key)


def note_video(connection: Connection, session_id: UUID, video_id: UUID) -> None:
    """Note which video a session becomes."""
    connection.execute(update(live_session).where(live_session.c.id == session_id).values(video_id=video_id))


def note_not_kept(connection: Connection, session_id: UUID, reason: str) -> None:
    """Note why a session was not kept, or not all of it."""
    connection.execute(update(live_session).where(live_session.c.id == session_id).values(not_kept=reason))


def insert_live_run(
    connection: Connection,
    video_id: UUID,
    model_fingerprint: str,
    about: Mapping[str, Any],
    *,
    retry_of: UUID | None = None,
) -> tuple[UUID, bool]:
    """Insert the run of a session's poses, which waits until its video is ready, or find the one that stands. Returns
    its id and whether it is new.

    Args:
        about: the session, for `PARAM`.
        retry_of: a done run of the same session, beside which this one is made.
    """
    of_video = select(video.c.team_id).where(video.c.id == video_id).scalar_subquery()
    params = {PARAM: dict(about)} | ({} if retry_of is None else {"retry_of": str(retry_of)})
    statement = insert(run).values(
        video_id=video_id,
        team_id=of_video,
        model_fingerprint=model_fingerprint,
        params=params,
        precision=_FETCHED_AS,
        lane="live",
        state=RunState.WAITING,
    )
    made = connection.execute(statement.on_conflict_do_nothing().returning(run.c.id)).scalar_one_or_none()
    if made is not None:
        return made, True
    stands = run.c.state.not_in([RunState.FAILED, RunState.CANCELLED])
    same = (run.c.video_id == video_id, run.c.model_fingerprint == model_fingerprint, run.c.params == params)
    return connection.execute(select(run.c.id).where(*same, stands)).scalar_one(), False
