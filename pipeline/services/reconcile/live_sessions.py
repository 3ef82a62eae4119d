"""Live sessions whose processes ended without a word, and those that ended long ago."""

from __future__ import annotations

from pipeline.db.engine import transaction
from pipeline.db.live_sessions import end_lost
from pipeline.services.system import System


def end_lost_sessions(system: System) -> None:
    """End those that nobody has reported for a minute, and forget those of more than 30 days ago."""
    with transaction(system.engine) as connection:
        end_lost(connection)
