"""Which chunks are sent next: by lane, fairly between teams by their weights, then by age."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, func, select, text

from pipeline.core.precision import PRECISIONS, Precision
from pipeline.core.states import ChunkState
from pipeline.db.chunks import ANALYSED
from pipeline.db.engine import advisory_key
from pipeline.db.leases import after
from pipeline.db.tables import chunk, model, run
from pipeline.db.transitions import move_to

DISPATCH_LOCKS = {precision: advisory_key(f"poseline.dispatch.{precision}") for precision in PRECISIONS}

# At most `limit` chunks of each run are read, so a run of a million chunks costs no more than a short one.
_FAIR_ORDER = text("""
WITH busy AS (
    SELECT video.team_id, count(*) AS chunks
    FROM chunk JOIN run ON run.id = chunk.run_id JOIN video ON video.id = run.video_id
    JOIN model ON model.fingerprint = run.model_fingerprint AND model.precision = :precision
    WHERE chunk.state IN ('queued', 'running') AND run.state IN ('queued', 'running') GROUP BY video.team_id
), offered AS (
    SELECT run.id AS run_id, first.idx, run.created_at, team.id AS team_id, team.weight,
           array_position(ARRAY['live', 'fresh', 'reprocess'], run.lane) AS lane,
           row_number() OVER (PARTITION BY team.id, run.lane ORDER BY run.created_at, run.id, first.idx) AS turn
    FROM run JOIN video ON video.id = run.video_id JOIN team ON team.id = video.team_id
    JOIN model ON model.fingerprint = run.model_fingerprint AND model.precision = :precision
    JOIN lane AS of ON of.name = run.lane AND of.paused_at IS NULL AND team.paused_at IS NULL
    CROSS JOIN LATERAL (
        SELECT idx FROM chunk
        WHERE run_id = run.id AND state = 'ready' AND not_before <= clock_timestamp()
        ORDER BY idx LIMIT :limit
    ) AS first
    WHERE run.state IN ('queued', 'running')
)
SELECT offered.run_id, offered.idx FROM offered LEFT JOIN busy USING (team_id)
ORDER BY lane, (coalesce(busy.chunks, 0) + turn) / weight, created_at, run_id, idx
LIMIT :limit
""")


def queue_ready_chunks(connection: Connection, window: int, precision: Precision = "fp32") -> list[tuple[UUID, int]]:
    """Mark as queued the chunks of this precision that may be sent now, fairly between teams, so that at most `window`
    messages wait."""
    # Whoever holds the lock refills the window; what it misses is seen at the end of the next chunk, or the next tick.
    if not connection.execute(
        text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": DISPATCH_LOCKS[precision]}
    ).scalar_one():
        return []
    waiting = connection.execute(
        select(func.count())
        .select_from(chunk.join(run).join(model))
        .where(chunk.c.state == ChunkState.QUEUED, run.c.state.in_(ANALYSED), model.c.precision == precision)
    ).scalar_one()
    if waiting >= window:
        return []
    picked = connection.execute(_FAIR_ORDER, {"limit": window - waiting, "precision": precision}).all()
    queued = []
    for run_id, idx in picked:
        moved = connection.execute(
            move_to(ChunkState.QUEUED, queued_at=func.clock_timestamp()).where(
                chunk.c.run_id == run_id, chunk.c.idx == idx
            )
        )
        if moved.rowcount:
            queued.append((run_id, idx))
    return queued


def requeue_lost_chunks(connection: Connection, older_than_s: float, precision: Precision = "fp32") -> int:
    """Make chunks of this precision ready again whose message was sent that long ago and never arrived. Returns how
    many there were."""
    of_precision = (
        select(run.c.id).join(model).where(run.c.id == chunk.c.run_id, model.c.precision == precision).exists()
    )
    return connection.execute(
        move_to(ChunkState.READY, queued_at=None).where(
            chunk.c.state == ChunkState.QUEUED, chunk.c.queued_at < after(-older_than_s), of_precision
        )
    ).rowcount
