"""Raise runs whose deadline is near."""

from __future__ import annotations

from pipeline.db.deadlines import raise_near_deadlines
from pipeline.db.engine import transaction
from pipeline.logs import get_logger
from pipeline.services.system import System

log = get_logger(__name__)


def raise_urgent_runs(system: System) -> None:
    """Let them come before the others of their team."""
    with transaction(system.engine) as connection:
        raised = raise_near_deadlines(connection, system.settings.deadline_lead_s)
    if raised:
        log.info("deadlines_near", runs=len(raised))
