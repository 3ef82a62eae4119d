"""Plan runs that wait although their video is ready."""

from __future__ import annotations

from pipeline.db.engine import transaction
from pipeline.db.runs import select_plannable_runs
from pipeline.logs import get_logger
from pipeline.services.plan import plan_runs
from pipeline.services.system import System

log = get_logger(__name__)

#: Runs are planned in the transaction that makes their video ready, so few need be looked at in each tick.
_LOOKED_AT = 25


def plan_ready_runs(system: System) -> None:
    """Plan them by video in one transaction each, so that one that cannot be planned does not hold the others."""
    with transaction(system.engine) as connection:
        videos = {video_id for _, video_id in select_plannable_runs(connection, sample=_LOOKED_AT)}
    for video_id in videos:
        try:
            with transaction(system.engine) as connection:
                plan_runs(connection, system.settings, video_id)
        except Exception:
            log.exception("not_planned", video=str(video_id))
