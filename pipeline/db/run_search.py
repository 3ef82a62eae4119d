"""Find runs by id, by the name of their video, or by state, team and time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, Text, cast, func, or_, select, tuple_

from pipeline.core.cursors import Cursor
from pipeline.core.states import RunState, is_final
from pipeline.core.tags import Tags
from pipeline.db.runs import RunRow, read_runs, runs_query
from pipeline.db.tables import run, team, video
from pipeline.db.teams import of_team
from pipeline.db.video_tags import has_tags

_HEX = set("0123456789abcdef")


def select_runs(
    connection: Connection,
    *,
    team: str | None,
    limit: int | None,
    states: Collection[RunState] = (),
    since: datetime | None = None,
    name: str | None = None,
    tags: Tags | None = None,
) -> list[RunRow]:
    """The newest runs, of that team only unless it is None.

    Args:
        states: in one of these states; in any, where it is empty.
        since: requested at that time or later.
        name: a part of one of the video's names, in upper or lower case.
        tags: that the video has, all of them.
    """
    statement = of_team(runs_query(), team).order_by(run.c.created_at.desc(), run.c.id).limit(limit)
    return read_runs(connection, _narrowed(statement, states, since, name, tags))


def select_run_page(
    connection: Connection,
    team_id: UUID,
    *,
    after: Cursor | None,
    limit: int,
    states: Collection[RunState] = (),
    since: datetime | None = None,
    name: str | None = None,
    tags: Tags | None = None,
) -> list[RunRow]:
    """At most `limit` of a team's runs, the newest first, from the one after `after`; narrowed as `select_runs`."""
    statement = _narrowed(runs_query(), states, since, name, tags).where(run.c.team_id == team_id)
    if after is not None:
        statement = statement.where(tuple_(run.c.created_at, run.c.id) < tuple_(after.at, after.id))
    return read_runs(connection, statement.order_by(run.c.created_at.desc(), run.c.id.desc()).limit(limit))


def _narrowed(
    statement: Select[Any],
    states: Collection[RunState],
    since: datetime | None,
    name: str | None,
    tags: Tags | None,
) -> Select[Any]:
    if states:
        statement = statement.where(run.c.state.in_([str(state) for state in states]))
    if since is not None:
        statement = statement.where(run.c.created_at >= since)
    if name is not None:
        names = func.array_to_string(func.array_append(video.c.other_names, video.c.name), "\n")
        statement = statement.where(func.strpos(func.lower(names), func.lower(name)) > 0)
    return statement.where(has_tags(tags)) if tags else statement


def select_runs_of_video(connection: Connection, video_id: UUID, *, team: str | None) -> list[RunRow]:
    """All runs of one video, the newest first."""
    statement = of_team(runs_query().where(run.c.video_id == video_id), team)
    return read_runs(connection, statement.order_by(run.c.created_at.desc(), run.c.id))


def select_current_runs(connection: Connection, *, team_name: str | None) -> Sequence[UUID]:
    """The current run of every video that has one, of that team only unless it is None, the oldest video first."""
    current = select(video.c.current_run_id).join(team, team.c.id == video.c.team_id)
    statement = of_team(current.where(video.c.current_run_id.is_not(None)), team_name)
    return connection.execute(statement.order_by(video.c.created_at, video.c.id)).scalars().all()


def select_runs_by_id(connection: Connection, ids: Collection[UUID], *, team: str | None) -> list[RunRow]:
    """The runs with these ids, of that team only unless it is None."""
    return read_runs(connection, of_team(runs_query(), team).where(run.c.id.in_(ids)))


def find_by_video_name(connection: Connection, name: str, *, team: str | None) -> Sequence[RunRow]:
    """Runs of the videos that were uploaded under that name, the newest first.

    The name's ending may be left out, and upper and lower case are the same.
    """
    wanted = name.lower()
    known = func.unnest(func.array_append(video.c.other_names, video.c.name)).table_valued("name").render_derived()
    lower = func.lower(known.c.name)
    named = select(known.c.name).where(or_(lower == wanted, func.regexp_replace(lower, r"\.[^.]*$", "") == wanted))
    statement = of_team(runs_query(), team).where(named.exists())
    return read_runs(connection, statement.order_by(run.c.created_at.desc(), run.c.id))


def find_by_id(connection: Connection, prefix: str, *, team: str | None) -> Sequence[RunRow]:
    """Runs whose id begins with `prefix`; none where it cannot be the beginning of an id."""
    wanted = prefix.lower().replace("-", "")
    if not wanted or not set(wanted) <= _HEX:
        return []
    compact = func.replace(cast(run.c.id, Text), "-", "")
    return read_runs(connection, of_team(runs_query(), team).where(compact.startswith(wanted)).limit(20))


def find_by_video_id(connection: Connection, prefix: str, *, team: str | None) -> Sequence[RunRow]:
    """Runs of the videos whose id begins with `prefix`, the newest first; none where it cannot be the beginning."""
    wanted = prefix.lower().replace("-", "")
    if not wanted or not set(wanted) <= _HEX:
        return []
    compact = func.replace(cast(video.c.id, Text), "-", "")
    statement = of_team(runs_query(), team).where(compact.startswith(wanted)).limit(20)
    return read_runs(connection, statement.order_by(run.c.created_at.desc(), run.c.id))


def find_open_runs(connection: Connection, tags: Tags) -> set[UUID]:
    """The ids of the runs that have not ended and whose video has all these tags."""
    open_states = [str(state) for state in RunState if not is_final(state)]
    tagged = select(run.c.id).join(video, video.c.id == run.c.video_id).where(has_tags(tags))
    return set(connection.execute(tagged.where(run.c.state.in_(open_states))).scalars())
