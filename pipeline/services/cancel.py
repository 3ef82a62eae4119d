"""End an open run on request. `team` restricts it to one team; None is the operator."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from pipeline.core.states import RunState
from pipeline.db.engine import transaction
from pipeline.db.run_ends import mark_cancelled
from pipeline.db.runs import select_run
from pipeline.services.dispatch import dispatch
from pipeline.services.system import System


@dataclass(frozen=True)
class Cancellation:
    """A run after it was cancelled, and whether that changed it."""

    run_id: UUID
    state: RunState
    was_open: bool

    def to_dict(self) -> dict[str, object]:
        """The cancellation as JSON fields."""
        return {"run_id": str(self.run_id), "state": self.state, "was_open": self.was_open}


def cancel_run(system: System, run_id: UUID, *, team: str | None) -> Cancellation:
    """End an open run without results. A run that has ended stays as it is.

    Raises:
        NotFound: there is no such run, or it is another team's.
    """
    with transaction(system.engine) as connection:
        select_run(connection, run_id, team=team)
        was_open = mark_cancelled(connection, run_id)
        cancellation = Cancellation(run_id, select_run(connection, run_id, team=team).state, was_open)
    dispatch(system)  # its chunks that were sent made up a part of the window
    return cancellation
