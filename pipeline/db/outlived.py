"""What is older than a team's rule keeps it: counted, and found a few at a time.

Each query reads an index that holds only what may still go, in the order of its age, so that a look costs the same
however much is kept. Nothing that is open, leased or current is among it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    text,
    union_all,
)

from pipeline.core.retention import Kind
from pipeline.core.states import ProxyState, RunState, VideoState, is_final
from pipeline.db.audit import older_audit
from pipeline.db.retention import Rule
from pipeline.db.tables import pass_, promotion, proxy, run, video

OPEN_STATES = [str(state) for state in RunState if not is_final(state)]
_WITHOUT_RESULTS = [str(RunState.FAILED), str(RunState.CANCELLED)]


@dataclass(frozen=True)
class Outlived:
    """How much is older than a rule keeps it.

    Args:
        size_bytes: of objects or rows; None where that is not known.
        frames: rows of frames that go with it.
        examples: the oldest, by the names of their videos.
    """

    number: int
    size_bytes: int | None
    frames: int
    oldest: datetime | None
    examples: Sequence[str]


def cutoff(rule: Rule) -> ColumnElement[Any]:
    """SQL: what is from before that time goes. An index is read up to `now()`, but not up to a clock that goes on."""
    return func.now() - timedelta(days=rule.days)


def has_open_run() -> ColumnElement[bool]:
    """SQL: a run of the video has not ended."""
    return select(run.c.id).where(run.c.video_id == video.c.id, run.c.state.in_(OPEN_STATES)).exists()


def is_outlived(rule: Rule) -> ColumnElement[bool]:
    """SQL: a row of the kind's table may go."""
    if rule.kind is Kind.ORIGINALS:
        return and_(
            video.c.team_id == rule.team_id,
            video.c.owned,
            video.c.state == literal(str(VideoState.READY), literal_execute=True),
            video.c.original_removed_at.is_(None),
            video.c.original_at < cutoff(rule),
            not_(has_open_run()),
        )
    if rule.kind is Kind.PROXIES:
        owner = video.alias()
        return and_(
            proxy.c.state == literal(str(ProxyState.READY), literal_execute=True),
            proxy.c.made_at < cutoff(rule),
            select(owner.c.id).where(owner.c.id == proxy.c.video_id, owner.c.team_id == rule.team_id).exists(),
        )
    if rule.kind is Kind.EXPORTS:
        return and_(
            run.c.team_id == rule.team_id,
            run.c.state == literal(str(RunState.DONE), literal_execute=True),
            run.c.export_removed_at.is_(None),
            run.c.finished_at < cutoff(rule),
        )
    if rule.kind is Kind.RUNS:
        owner = video.alias()
        is_current = select(owner.c.id).where(owner.c.current_run_id == run.c.id).exists()
        return and_(run.c.team_id == rule.team_id, run.c.not_current_since < cutoff(rule), not_(is_current))
    return and_(
        run.c.team_id == rule.team_id,
        or_(*(run.c.state == literal(state, literal_execute=True) for state in _WITHOUT_RESULTS)),
        run.c.finished_at < cutoff(rule),
    )


def of_table(rule: Rule) -> Any:
    """The table that a kind's rows are in."""
    return {Kind.ORIGINALS: video, Kind.PROXIES: proxy}.get(rule.kind, run)


def age_column(rule: Rule) -> Any:
    """Since when a row of the kind is kept."""
    if rule.kind is Kind.ORIGINALS:
        return video.c.original_at
    if rule.kind is Kind.PROXIES:
        return proxy.c.made_at
    return run.c.not_current_since if rule.kind is Kind.RUNS else run.c.finished_at


def select_outlived(connection: Connection, rule: Rule, limit: int) -> list[UUID]:
    """The ids of the videos or runs that have waited longest; not of the kind `audit`."""
    return list(connection.execute(outlived_ids(rule).limit(limit)).scalars())


def outlived_ids(rule: Rule) -> Select[Any]:
    """SQL: the ids of the videos or runs that may go, or lose something, the oldest first."""
    key = proxy.c.video_id if rule.kind is Kind.PROXIES else of_table(rule).c.id
    return select(key).where(is_outlived(rule)).order_by(age_column(rule))


def outlived_promotions(rule: Rule) -> Select[Any]:
    """SQL: promotions of the team's videos that are older, but each video's last and those of its current run."""
    later = promotion.alias()
    is_last = not_(
        select(later.c.id).where(later.c.video_id == promotion.c.video_id, later.c.id > promotion.c.id).exists()
    )
    return (
        select(promotion.c.id, promotion.c.at, video.c.name.label("name"))
        .join(video, video.c.id == promotion.c.video_id)
        .where(video.c.team_id == rule.team_id, promotion.c.at < cutoff(rule), not_(is_last))
        .where(promotion.c.run_id.is_distinct_from(video.c.current_run_id))
    )


def outlived_passes(rule: Rule) -> Select[Any]:
    """SQL: closed passes of the team that are older, but each schedule's last, and none with runs under way."""
    later = pass_.alias()
    is_last = and_(
        pass_.c.schedule_id.is_not(None),
        not_(
            select(later.c.id)
            .where(later.c.schedule_id == pass_.c.schedule_id, later.c.opened_at > pass_.c.opened_at)
            .exists()
        ),
    )
    under_way = select(run.c.id).where(run.c.pass_id == pass_.c.id, run.c.state.in_(OPEN_STATES)).exists()
    return select(pass_.c.id, pass_.c.closed_at.label("at"), pass_.c.name.label("name")).where(
        pass_.c.team_id == rule.team_id, pass_.c.closed_at < cutoff(rule), not_(is_last), not_(under_way)
    )


def _outlived_audit(rule: Rule) -> tuple[Select[Any], ...]:
    return outlived_promotions(rule), outlived_passes(rule), older_audit(rule.team_id, cutoff(rule))


def count_outlived(connection: Connection, rule: Rule, examples: int) -> Outlived:
    """How much is older than the rule keeps it."""
    if rule.kind is Kind.AUDIT:
        parts = [each.subquery() for each in _outlived_audit(rule)]
        every = union_all(*(select(part.c.at, part.c.name) for part in parts)).subquery()
        row = connection.execute(select(func.count(), func.min(every.c.at))).one()
        names = select(every.c.name).order_by(every.c.at).limit(examples)
        return Outlived(row[0], None, 0, row[1], list(connection.execute(names).scalars()))
    table = of_table(rule)
    size = null() if table is run else func.sum(table.c.size_bytes)
    frames = func.sum(video.c.frames) if rule.kind in {Kind.RUNS, Kind.FAILED_RUNS} else null()
    source = video if table is video else table.join(video, video.c.id == table.c.video_id)
    row = connection.execute(
        select(func.count(), size, frames, func.min(age_column(rule))).select_from(source).where(is_outlived(rule))
    ).one()
    named = select(video.c.name).select_from(source).where(is_outlived(rule)).order_by(age_column(rule))
    number, size_bytes, frame_rows, oldest = row
    names_ = list(connection.execute(named.limit(examples)).scalars())
    return Outlived(number, None if size_bytes is None else int(size_bytes), int(frame_rows or 0), oldest, names_)


_FRAME_ROWS = text("SELECT reltuples, pg_total_relation_size(oid) FROM pg_class WHERE oid = 'frame'::regclass")


def bytes_of_frame(connection: Connection) -> float | None:
    """What a frame takes with its part of the index, on average; None where Postgres has not counted them yet."""
    rows, size = connection.execute(_FRAME_ROWS).one()
    return float(size) / rows if rows > 0 else None
