"""Videos for which the conditions of a selection hold, as SQL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Float, FromClause, and_, cast, func, not_, or_, select, true

from pipeline.core.selection import Condition, Selection
from pipeline.core.states import VideoState
from pipeline.db.tables import model, run, video
from pipeline.db.video_tags import has_tags

#: A video's current run and its model.
current = run.alias("current_run")
current_model = model.alias("current_model")


def with_current_run() -> FromClause:
    """SQL: videos, each beside its current run and that run's model, if it has one."""
    return video.outerjoin(current, current.c.id == video.c.current_run_id).outerjoin(
        current_model, current_model.c.fingerprint == current.c.model_fingerprint
    )


def is_selected(
    selection: Selection, team_id: UUID | None, now: datetime, worse_models: Collection[str]
) -> ColumnElement[bool]:
    """SQL: whether a video of `with_current_run` is ready, still has its original, is that team's, and fits all
    conditions.

    Args:
        team_id: None for all teams.
        worse_models: names of the models that `accuracy=worse` means.
    """
    team: ColumnElement[bool] = true() if team_id is None else video.c.team_id == team_id
    conditions = [_holds(condition, now, worse_models) for condition in selection.conditions]
    return and_(video.c.state == str(VideoState.READY), video.c.original_removed_at.is_(None), team, *conditions)


def _holds(condition: Condition, now: datetime, worse_models: Collection[str]) -> ColumnElement[bool]:
    match condition.field:
        case "tag":
            found: ColumnElement[bool] = has_tags({condition.key: condition.text})
        case "name":
            found = _is_named(condition.text)
        case "model":
            found = func.coalesce(_fits(current_model.c.name, condition.text), False)
        case "analysed":
            found = video.c.current_run_id.is_(None) == (condition.text == "never")
        case "accuracy":
            found = or_(video.c.current_run_id.is_(None), current_model.c.name.in_(worse_models))
        case "age":
            moment = now - timedelta(seconds=condition.number)
            return video.c.created_at < moment if condition.operator == ">" else video.c.created_at > moment
        case "missing" | "empty" | "confidence":
            measured = _quality(condition.field)
            return measured > condition.number if condition.operator == ">" else measured < condition.number
    return not_(found) if condition.operator == "!=" else found


def _is_named(pattern: str) -> ColumnElement[bool]:
    names = func.unnest(func.array_append(video.c.other_names, video.c.name)).table_valued("name").render_derived()
    return select(names.c.name).where(_fits(names.c.name, pattern)).exists()


def _fits(text: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    """Whether a text is like a pattern in which `*` is anything; upper and lower case are the same."""
    escaped = pattern.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_").replace("*", "%")
    return text.ilike(escaped, escape="\\")


def _quality(field: str) -> ColumnElement[float]:
    """A figure of the current run, from 0 to 1; NULL, so that no condition holds, where it was not measured."""

    def number(name: str) -> ColumnElement[float]:
        return cast(current.c.summary[name].astext, Float)

    frames = func.nullif(number("frames"), 0)
    if field == "missing":
        return number("frames_missing") / frames
    if field == "empty":
        return 1 - number("frames_with_people") / frames
    return number("confidence")
