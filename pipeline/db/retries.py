"""What a person asked to be tried again: rows that were given up, and rows that wait out a back-off."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, delete, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from pipeline.core.states import ChunkState, RunState, VideoState
from pipeline.core.tags import Tags
from pipeline.db.chunks import ANALYSED
from pipeline.db.live_runs import is_live
from pipeline.db.tables import chunk, frame, run, team, video
from pipeline.db.teams import of_team
from pipeline.db.transitions import move_to
from pipeline.db.video_tags import has_tags
from pipeline.errors import LeaseLost

#: The columns of work that begins anew.
_ANEW: dict[str, Any] = {
    "attempts": 0,
    "errors": 0,
    "expirations": 0,
    "deaths": 0,
    "last_error": null(),
    "reason": null(),
    "queued_at": null(),
    "not_before": func.clock_timestamp(),
}


def keep_rule(connection: Connection, run_id: UUID, of_run_id: UUID) -> None:
    """Give a run the rule of promotion and the pass of the run whose place it takes."""
    kept = connection.execute(select(run.c.promotion, run.c.pass_id).where(run.c.id == of_run_id)).one()
    connection.execute(update(run).where(run.c.id == run_id).values(promotion=kept.promotion, pass_id=kept.pass_id))


def requeue_quarantined(connection: Connection, run_id: UUID, idx: int | None = None) -> int:
    """Have the chunks that a run gave up, or one of them, analysed again. Returns how many.

    Their rows of missing frames are removed, and they are pending again, in the caller's transaction.

    Raises:
        LeaseLost: the run came to be finished or was ended meanwhile; nothing may be kept.
    """
    given_up = [chunk.c.run_id == run_id, chunk.c.state == ChunkState.QUARANTINED, *_at(idx)]
    # In their order, and before the run's row, as a commit does.
    found = select(chunk.c.idx).where(*given_up).order_by(chunk.c.idx).with_for_update()
    indices = list(connection.execute(found).scalars())
    if not indices:
        return 0
    anew = {**_ANEW, "frames_done": 0, "started_at": null(), "finished_at": null(), "computed_with": ""}
    connection.execute(
        move_to(ChunkState.READY, **anew).where(
            chunk.c.run_id == run_id, chunk.c.idx.in_(indices), chunk.c.state == ChunkState.QUARANTINED
        )
    )
    spans = select(chunk.c.first_frame, chunk.c.frames).where(chunk.c.run_id == run_id, chunk.c.idx.in_(indices))
    for span in connection.execute(spans).all():
        of_span = (frame.c.frame >= span.first_frame, frame.c.frame < span.first_frame + span.frames)
        connection.execute(delete(frame).where(frame.c.run_id == run_id, *of_span))
    pending = (
        update(run)
        .where(run.c.id == run_id, run.c.state == RunState.RUNNING)
        .values(chunks_pending=run.c.chunks_pending + len(indices))
    )
    if connection.execute(pending).rowcount != 1:
        raise LeaseLost
    return len(indices)


def end_chunk_backoff(connection: Connection, run_id: UUID, idx: int | None = None) -> int:
    """Have the chunks of a run that wait out a back-off, or one of them, tried now. Returns how many."""
    waiting = (chunk.c.run_id == run_id, chunk.c.state == ChunkState.READY, *_at(idx), _backs_off(chunk.c.not_before))
    return connection.execute(update(chunk).where(*waiting).values(not_before=func.clock_timestamp())).rowcount


def end_ingest_backoff(connection: Connection, video_id: UUID) -> bool:
    """Have a video that waits out a back-off ingested now. Returns whether it did."""
    waiting = (video.c.id == video_id, video.c.state == VideoState.STORED, _backs_off(video.c.not_before))
    now = {"not_before": func.clock_timestamp(), "queued_at": null()}
    return bool(connection.execute(update(video).where(*waiting).values(**now)).rowcount)


def end_finish_backoff(connection: Connection, run_id: UUID) -> bool:
    """Have a run that waits out a back-off finished now. Returns whether it did."""
    waiting = (run.c.id == run_id, run.c.state == RunState.FINISHING, _backs_off(run.c.not_before))
    return bool(connection.execute(update(run).where(*waiting).values(not_before=func.clock_timestamp())).rowcount)


def reingest(connection: Connection, video_id: UUID) -> bool:
    """Have a rejected video whose object is still stored ingested again. Returns whether it can be."""
    stored_again = move_to(VideoState.STORED, **_ANEW).where(
        video.c.id == video_id, video.c.etag.is_not(None), video.c.duplicate_of.is_(None)
    )
    return connection.execute(stored_again.where(video.c.state == VideoState.REJECTED)).rowcount == 1


def select_chunk_state(connection: Connection, run_id: UUID, idx: int) -> ChunkState | None:
    """The state of one chunk; None where the run has none of that number."""
    found = connection.execute(select(chunk.c.state).where(chunk.c.run_id == run_id, chunk.c.idx == idx)).scalar()
    return None if found is None else ChunkState(found)


def select_failed(
    connection: Connection, *, team_name: str | None, since: datetime | None, tags: Tags | None = None
) -> list[UUID]:
    """The newest failed run of each video and model for which none stands, those that failed first in front.

    A video that was rejected for what it is, not given up after several tries, would be rejected again and is left out.
    """
    other = run.alias()
    stands = (
        select(other.c.id)
        .where(other.c.video_id == run.c.video_id, other.c.model_fingerprint == run.c.model_fingerprint)
        .where(other.c.state.not_in([str(RunState.FAILED), str(RunState.CANCELLED)]), is_live(other) == is_live())
        .exists()
    )
    given_up = and_(
        video.c.duplicate_of.is_(None),
        video.c.etag.is_not(None),
        video.c.errors + video.c.expirations + video.c.deaths > 0,
    )
    failed = (
        select(run.c.id, run.c.finished_at)
        .ext(distinct_on(run.c.video_id, run.c.model_fingerprint))
        .join(video, video.c.id == run.c.video_id)
        .join(team, team.c.id == run.c.team_id)
        .where(run.c.state == RunState.FAILED, ~stands)
        .where(or_(video.c.state != VideoState.REJECTED, given_up))
        .order_by(run.c.video_id, run.c.model_fingerprint, run.c.created_at.desc())
    )
    if since is not None:
        failed = failed.where(run.c.finished_at >= since)
    if tags:
        failed = failed.where(has_tags(tags))
    newest = of_team(failed, team_name).subquery()
    return list(connection.execute(select(newest.c.id).order_by(newest.c.finished_at, newest.c.id)).scalars())


def select_with_quarantined(
    connection: Connection, *, team_name: str | None, since: datetime | None, tags: Tags | None = None
) -> list[UUID]:
    """The runs under way that gave chunks up, the oldest first."""
    gave_up = select(chunk.c.run_id).where(chunk.c.state == ChunkState.QUARANTINED)
    if since is not None:
        gave_up = gave_up.where(chunk.c.finished_at >= since)
    statement = (
        select(run.c.id)
        .join(video, video.c.id == run.c.video_id)
        .join(team, team.c.id == run.c.team_id)
        .where(run.c.id.in_(gave_up), run.c.state.in_([str(state) for state in ANALYSED]))
        .order_by(run.c.created_at, run.c.id)
    )
    if tags:
        statement = statement.where(has_tags(tags))
    return list(connection.execute(of_team(statement, team_name)).scalars())


def _at(idx: int | None) -> list[ColumnElement[bool]]:
    return [] if idx is None else [chunk.c.idx == idx]


def _backs_off(not_before: ColumnElement[Any]) -> ColumnElement[bool]:
    return not_before > func.clock_timestamp()
