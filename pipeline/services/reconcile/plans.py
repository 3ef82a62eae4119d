"""Plan runs that wait although their video is ready."""

from __future__ import annotations

from pipeline.db.engine import transaction
from pipeline.services.plan import plan_runs
from pipeline.services.system import System


def plan_ready_runs(system: System) -> None:
    """Plan them in one transaction each, so that one that cannot be planned does not hold the others."""
    planned = 1
    while planned:
        with transaction(system.engine) as connection:
            planned = plan_runs(connection, system.settings, limit=1)
