"""Correct counters that should never be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from pipeline.core.states import RunState
from pipeline.db.runs import sample_of_runs
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


def recount_pending_chunks(connection: Connection, limit: int) -> Sequence[UUID]:
    """Recount the pending chunks of running runs, at most `limit` of them, other ones each time.

    Returns the runs that were wrong; those at zero now finish.
    """
    # Only locked runs are recounted: a commit between the count and the update would make the repair wrong.
    sample = sample_of_runs(RunState.RUNNING, limit)
    locked = connection.execute(sample.with_for_update(skip_locked=True, key_share=True)).scalars().all()
    repaired = connection.execute(_REPAIR, {"ids": list(locked)}).all()
    for row in repaired:
        if row.chunks_pending == 0:
            connection.execute(move_to(RunState.FINISHING).where(run.c.id == row.id))
    return [row.id for row in repaired]
