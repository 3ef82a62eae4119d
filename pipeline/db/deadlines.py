"""Deadlines: a run whose deadline is near comes before the others of its team."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, case, update

from pipeline.core.states import RunState
from pipeline.db.leases import after
from pipeline.db.tables import run

#: The rank of a run whose deadline is near; all others have 1.
URGENT = 0


def raise_near_deadlines(connection: Connection, lead_s: float) -> Sequence[UUID]:
    """Raise the runs whose deadline is less than `lead_s` away: to the head of their team's queue, the earliest
    deadline first, and from the lane `reprocess` to `fresh`, also where they wait for the next pass. Returns their
    ids."""
    raised = (
        update(run)
        .where(
            run.c.deadline < after(lead_s),
            run.c.rank > URGENT,
            run.c.state.in_([RunState.WAITING, RunState.QUEUED, RunState.RUNNING]),
        )
        .values(
            rank=URGENT,
            due_at=run.c.deadline,
            lane=case((run.c.lane == "reprocess", "fresh"), else_=run.c.lane),
            held=False,
            chunk_limit=None,
        )
        .returning(run.c.id)
    )
    return connection.execute(raised).scalars().all()
