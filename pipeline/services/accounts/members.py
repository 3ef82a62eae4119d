"""Who is in a team, and with which role."""

from __future__ import annotations

from uuid import UUID

from pipeline.db.accounts import Member, select_members
from pipeline.db.engine import transaction
from pipeline.services.system import System


def list_members(system: System, team_id: UUID) -> list[Member]:
    """The members of a team, by name."""
    with transaction(system.engine) as connection:
        return select_members(connection, team_id)
