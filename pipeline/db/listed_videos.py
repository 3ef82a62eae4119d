"""A team's videos as a list shows them: each with its newest run, the newest video first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    case,
    cast,
    exists,
    func,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from pipeline.core.cursors import Cursor
from pipeline.core.states import ChunkState, RunState, VideoState
from pipeline.core.tags import Tags
from pipeline.db.tables import chunk, lane, model, run, team, video
from pipeline.db.video_tags import has_tags

#: Of which videos a client is told how far they are, though nothing of their rows changed.
_UNDER_WAY = [str(RunState.RUNNING), str(RunState.FINISHING)]


@dataclass(frozen=True)
class NewestRun:
    """The newest run of a listed video.

    Args:
        frames_done: that were analysed so far.
        paused: whether its team or lane is, and it has not ended.
    """

    id: UUID
    state: RunState
    reason: str | None
    model: str
    frames_done: int
    summary: Mapping[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    paused: bool


@dataclass(frozen=True)
class ListedVideo:
    """One video of a list.

    Args:
        state: the video's own until it can be analysed, then that of its newest run; `ready` where it has none.
        video_s: seconds from its first frame to its last.
        models: the names of those by which it has a run.
    """

    id: UUID
    name: str
    state: str
    video_state: VideoState
    reason: str | None
    created_at: datetime
    size_bytes: int | None
    width: int | None
    height: int | None
    codec: str | None
    frames: int | None
    video_s: float | None
    notes: Sequence[str]
    tags: Mapping[str, str]
    current_run_id: UUID | None
    models: Sequence[str]
    run: NewestRun | None


@dataclass(frozen=True)
class Wanted:
    """Which of a team's videos are listed.

    Args:
        name: a part of one of its names, in upper or lower case.
        tags: that it has, all of them.
        states: as in `ListedVideo.state`; any where it is empty.
        since: added then or later.
        before: added earlier.
    """

    name: str | None = None
    tags: Tags | None = None
    states: Collection[str] = ()
    since: datetime | None = None
    before: datetime | None = None


_newest = (
    select(run).where(run.c.video_id == video.c.id).order_by(run.c.created_at.desc(), run.c.id.desc()).limit(1)
).lateral("newest")

_STATE = case(
    (video.c.state != str(VideoState.READY), video.c.state), else_=func.coalesce(_newest.c.state, video.c.state)
)


def select_listed(
    connection: Connection, team_id: UUID, wanted: Wanted, *, after: Cursor | None, limit: int
) -> list[ListedVideo]:
    """At most `limit` of a team's videos, the newest first, from the one after `after`."""
    statement = _listed(team_id).order_by(video.c.created_at.desc(), video.c.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(video.c.created_at, video.c.id) < tuple_(after.at, after.id))
    return _read(connection, statement.where(*_conditions(wanted)))


def select_listed_by_id(connection: Connection, team_id: UUID, ids: Collection[UUID]) -> list[ListedVideo]:
    """These videos, those that are the team's and listed; in no order."""
    return _read(connection, _listed(team_id).where(video.c.id.in_(ids))) if ids else []


def count_listed(connection: Connection, team_id: UUID) -> int:
    """How many videos a team's list has."""
    statement = select(func.count()).where(video.c.team_id == team_id, video.c.duplicate_of.is_(None))
    count: int = connection.execute(statement).scalar_one()
    return count


def select_changed(connection: Connection, team_id: UUID, since: datetime, limit: int) -> list[UUID]:
    """The team's videos that changed since then, or one of whose runs did, and those that are being analysed; at most
    `limit` of them."""
    changed = select(video.c.id).where(video.c.team_id == team_id, video.c.changed_at >= since)
    runs = select(run.c.video_id).where(run.c.team_id == team_id, run.c.changed_at >= since)
    under_way = select(run.c.video_id).where(run.c.team_id == team_id, run.c.state.in_(_UNDER_WAY))
    return list(connection.execute(changed.union(runs, under_way).limit(limit)).scalars())


def _listed(team_id: UUID) -> Select[Any]:
    done = (
        select(func.coalesce(func.sum(chunk.c.frames_done), 0))
        .where(
            chunk.c.run_id == _newest.c.id,
            chunk.c.state.in_([ChunkState.RUNNING, ChunkState.DONE, ChunkState.QUARANTINED]),
        )
        .scalar_subquery()
    )
    of_video = run.alias()
    models = (
        select(func.array_agg(aggregate_order_by(model.c.name.distinct(), model.c.name)))
        .join(of_video, of_video.c.model_fingerprint == model.c.fingerprint)
        .where(of_video.c.video_id == video.c.id)
        .scalar_subquery()
    )
    named = select(model.c.name).where(model.c.fingerprint == _newest.c.model_fingerprint).scalar_subquery()
    paused = or_(
        exists().where(team.c.id == video.c.team_id, team.c.paused_at.is_not(None)),
        exists().where(lane.c.name == _newest.c.lane, lane.c.paused_at.is_not(None)),
    )
    video_s = cast(video.c.last_pts - video.c.first_pts, Float) * video.c.time_base_num / video.c.time_base_den
    own = ("id", "name", "created_at", "size_bytes", "width", "height", "codec", "frames", "notes", "tags")
    of_run = ("id", "state", "reason", "summary", "created_at", "started_at", "finished_at")
    return (
        select(
            *(video.c[name] for name in own),
            video.c.current_run_id,
            _STATE.label("shown_state"),
            video.c.state,
            video.c.reason,
            video_s.label("video_s"),
            models.label("models"),
            *(_newest.c[name].label(f"run_{name}") for name in of_run),
            named.label("run_model"),
            case((_newest.c.state == str(RunState.DONE), video.c.frames), else_=done).label("run_frames_done"),
            paused.label("run_paused"),
        )
        .outerjoin(_newest, true())
        .where(video.c.team_id == team_id, video.c.duplicate_of.is_(None))
    )


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.name:
        names = func.array_to_string(func.array_append(video.c.other_names, video.c.name), "\n")
        conditions.append(func.strpos(func.lower(names), func.lower(wanted.name)) > 0)
    if wanted.tags:
        conditions.append(has_tags(wanted.tags))
    if wanted.states:
        conditions.append(_STATE.in_(list(wanted.states)))
    if wanted.since is not None:
        conditions.append(video.c.created_at >= wanted.since)
    if wanted.before is not None:
        conditions.append(video.c.created_at < wanted.before)
    return conditions


def _read(connection: Connection, statement: Select[Any]) -> list[ListedVideo]:
    return [_video(row) for row in connection.execute(statement).mappings()]


def _video(row: Mapping[Any, Any]) -> ListedVideo:
    newest = None
    if row["run_id"] is not None:
        state = RunState(row["run_state"])
        newest = NewestRun(
            id=row["run_id"],
            state=state,
            reason=row["run_reason"],
            model=row["run_model"],
            frames_done=row["run_frames_done"] or 0,
            summary=row["run_summary"],
            created_at=row["run_created_at"],
            started_at=row["run_started_at"],
            finished_at=row["run_finished_at"],
            paused=row["run_paused"] and row["run_finished_at"] is None,
        )
    return ListedVideo(
        id=row["id"],
        name=row["name"],
        state=row["shown_state"],
        video_state=VideoState(row["state"]),
        reason=row["reason"] or (newest.reason if newest else None),
        created_at=row["created_at"],
        size_bytes=row["size_bytes"],
        width=row["width"],
        height=row["height"],
        codec=row["codec"],
        frames=row["frames"],
        video_s=row["video_s"],
        notes=row["notes"],
        tags=row["tags"],
        current_run_id=row["current_run_id"],
        models=row["models"] or (),
        run=newest,
    )
