"""What became of the runs that passes asked for: read in a stream, for reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, Text, cast, select, true
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, distinct_on

from pipeline.core.states import RunState
from pipeline.db.engine import database_errors
from pipeline.db.tables import comparison, promotion, run, team, video
from pipeline.db.teams import of_team

_FETCH_ROWS = 500
#: Of a comparison, what is large and is not in a report.
_LEFT_OUT = ("joints", "changed_most", "oks_histogram", "keypoint_names")


@dataclass(frozen=True)
class CampaignRun:
    """The newest run of one video by these passes.

    Args:
        promoted: whether its rule or a person made it current, and whether that was kept back; None where neither.
        decision: why.
        against_run_id, figures: with which run it was compared, and how it differs; None where it was not.
    """

    run_id: UUID
    video_id: UUID
    video: str
    team: str
    state: RunState
    run_reason: str | None
    is_current: bool
    promoted: bool | None
    decision: str | None
    by: str | None
    against_run_id: UUID | None
    figures: Mapping[str, Any] | None


def iter_campaign_runs(engine: Engine, passes: Sequence[UUID], *, team_name: str | None) -> Iterator[CampaignRun]:
    """Stream the newest run of each video that these passes asked for, by the videos' ids; memory stays flat."""
    newest = (
        select(promotion.c.promoted, promotion.c.reason, promotion.c.by)
        .where(promotion.c.run_id == run.c.id)
        .order_by(promotion.c.id.desc())
        .limit(1)
        .lateral("newest")
    )
    without = comparison.c.figures.op("-", return_type=JSONB())
    figures = without(cast(list(_LEFT_OUT), ARRAY(Text)))
    statement = (
        select(
            run.c.id.label("run_id"),
            *(run.c.video_id, video.c.name.label("video"), team.c.name.label("team")),
            *(run.c.state, run.c.reason.label("run_reason")),
            video.c.current_run_id.is_not_distinct_from(run.c.id).label("is_current"),
            *(newest.c.promoted, newest.c.reason.label("decision"), newest.c.by),
            *(comparison.c.against_run_id, figures.label("figures")),
        )
        .ext(distinct_on(run.c.video_id))
        .join(video, video.c.id == run.c.video_id)
        .join(team, team.c.id == video.c.team_id)
        .join(newest, true(), isouter=True)
        .join(comparison, comparison.c.run_id == run.c.id, isouter=True)
        .where(run.c.pass_id.in_(passes))
        .order_by(run.c.video_id, run.c.created_at.desc(), run.c.id)
    )
    with database_errors(), engine.connect() as connection:
        streamed = connection.execution_options(stream_results=True, yield_per=_FETCH_ROWS)
        for row in streamed.execute(of_team(statement, team_name)).mappings():
            yield CampaignRun(**{**row, "state": RunState(row["state"])})
