"""Correct counters that should never be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, select, text

from pipeline.core.states import RunState
from pipeline.db.tables import run
from pipeline.db.transitions import move_to

# A wrong counter would end a run too early or never, so it is recomputed.
_REPAIR = text("""
WITH truth AS (
    SELECT run_id, count(*) FILTER (WHERE state NOT IN ('done', 'quarantined')) AS pending
    FROM chunk WHERE run_id = ANY(:ids) GROUP BY run_id
)
UPDATE run SET chunks_pending = truth.pending FROM truth
WHERE run.id = truth.run_id AND run.chunks_pending <> truth.pending
RETURNING run.id, run.chunks_pending
""")


def recount_pending_chunks(connection: Connection) -> Sequence[UUID]:
    """Recount the pending chunks of every running run. Returns the runs that were wrong; those at zero now finish."""
    # Only locked runs are recounted: a commit between the count and the update would make the repair wrong.
    locked = (
        connection.execute(
            select(run.c.id).where(run.c.state == RunState.RUNNING).with_for_update(skip_locked=True, key_share=True)
        )
        .scalars()
        .all()
    )
    repaired = connection.execute(_REPAIR, {"ids": list(locked)}).all()
    for row in repaired:
        if row.chunks_pending == 0:
            connection.execute(move_to(RunState.FINISHING).where(run.c.id == row.id))
    return [row.id for row in repaired]
