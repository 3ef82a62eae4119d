"""Which chunks and videos are sent next: read the heads of the queues, share the free places out, mark what is sent.

What this costs does not grow with the number of runs that wait: the heads are read from an index, and what is under
way is few. The plans must not depend on statistics, which lag behind a flood, so hash joins and the like are off here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Uuid, cast, column, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Integer

from pipeline.core.fair_share import Lane, QueueKey, UnderWay, Waiting, idle_parts, share_out
from pipeline.core.precision import Precision
from pipeline.core.states import ChunkState, VideoState
from pipeline.db.engine import advisory_key
from pipeline.db.leases import after
from pipeline.db.queue_state import select_lanes
from pipeline.db.tables import chunk, run, team, video
from pipeline.db.transitions import move_to

#: The most that one call sends; who calls repeats it.
BATCH = 256

_LOCK = text("""
SELECT pg_try_advisory_xact_lock(:key) AS locked, (SELECT last_value FROM dispatch_turn) AS turn,
       set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)
""")

_COUNT_TURNS = text("SELECT setval('dispatch_turn', :turn)")

_CHUNKS_UNDER_WAY = text("""
SELECT run.lane, run.team_id, count(*) AS chunks, sum(chunk.frames) AS frames,
       count(*) FILTER (WHERE chunk.state = 'queued') AS sent
FROM chunk JOIN run ON run.id = chunk.run_id
WHERE chunk.state IN ('queued', 'running') AND run.precision = :precision AND run.state IN ('queued', 'running')
GROUP BY run.lane, run.team_id
""")

# One step of the recursion for each lane and team with work: it jumps from one to the next in the index run_queue.
_CHUNKS_WAITING = text("""
WITH RECURSIVE queue AS (
    (SELECT lane, team_id FROM run WHERE precision = :precision AND state IN ('queued', 'running') AND NOT held
     ORDER BY lane, team_id LIMIT 1)
    UNION ALL
    SELECT following.lane, following.team_id FROM queue CROSS JOIN LATERAL (
        SELECT lane, team_id FROM run WHERE precision = :precision AND state IN ('queued', 'running') AND NOT held
        AND (lane, team_id) > (queue.lane, queue.team_id) ORDER BY lane, team_id LIMIT 1
    ) AS following
)
SELECT queue.lane, queue.team_id, head.run_id, head.idx, head.frames
FROM queue CROSS JOIN LATERAL (
    SELECT run.id AS run_id, ready.idx, ready.frames
    FROM run CROSS JOIN LATERAL (
        SELECT idx, frames FROM chunk
        WHERE run_id = run.id AND state = 'ready' AND not_before <= clock_timestamp()
            AND idx < coalesce(run.chunk_limit, 2147483647)
        ORDER BY idx LIMIT :limit
    ) AS ready
    WHERE run.precision = :precision AND run.lane = queue.lane AND run.team_id = queue.team_id
        AND run.state IN ('queued', 'running') AND NOT run.held
    ORDER BY run.rank, run.due_at, run.id LIMIT :limit
) AS head
WHERE (SELECT paused_at IS NULL FROM team WHERE id = queue.team_id)
    AND (SELECT paused_at IS NULL FROM lane WHERE name = queue.lane)
""")

_VIDEOS_UNDER_WAY = text("""
SELECT team_id, count(*) AS videos FROM video WHERE state = 'stored' AND queued_at IS NOT NULL GROUP BY team_id
""")

_VIDEOS_WAITING = text("""
WITH RECURSIVE queue AS (
    (SELECT team_id FROM video WHERE state = 'stored' AND queued_at IS NULL ORDER BY team_id LIMIT 1)
    UNION ALL
    SELECT following.team_id FROM queue CROSS JOIN LATERAL (
        SELECT team_id FROM video WHERE state = 'stored' AND queued_at IS NULL AND team_id > queue.team_id
        ORDER BY team_id LIMIT 1
    ) AS following
)
SELECT queue.team_id, head.id FROM queue CROSS JOIN LATERAL (
    SELECT id FROM video
    WHERE team_id = queue.team_id AND state = 'stored' AND queued_at IS NULL AND lease_token IS NULL
        AND not_before <= clock_timestamp()
    ORDER BY created_at, id LIMIT :limit
) AS head
WHERE (SELECT paused_at IS NULL FROM team WHERE id = queue.team_id)
""")

_Item = TypeVar("_Item")

_INGEST = Lane("ingest", 0)


class QueuedChunk(NamedTuple):
    """A chunk whose message is to be sent.

    Args:
        first: whether the message goes before those that wait.
    """

    run_id: UUID
    idx: int
    first: bool


def queue_ready_chunks(
    connection: Connection, window: int, precision: Precision = "fp32", slots: int = 0
) -> list[QueuedChunk] | None:
    """Mark as queued the chunks of this precision that are sent next, so that at most `window` messages wait.

    A team that has nothing under way in the first lane with work does not wait for what was sent before it came: as
    many of its chunks as its part of the slots go to the front, also beyond the window.

    Args:
        slots: of the workers that take this precision.

    Returns:
        At most `BATCH`, in the order in which they are to be sent; None where another process is about it.
    """
    turn = _take_turn(connection, f"poseline.dispatch.{precision}")
    if turn is None:
        return None
    under_way = connection.execute(_CHUNKS_UNDER_WAY, {"precision": precision}).all()
    busy = {
        QueueKey(row.lane, str(row.team_id)): UnderWay(row.chunks, int(row.frames), row.chunks - row.sent)
        for row in under_way
    }
    limit = max(min(window - sum(row.sent for row in under_way), BATCH), 0)
    waiting = _read_heads(connection, precision, max(limit, 1))
    if not waiting:
        return []
    lanes = [row.lane for row in select_lanes(connection)]
    weights, caps = _teams(connection, {UUID(queue.team) for queue in [*waiting, *busy]})
    parts = idle_parts(waiting.keys(), busy, lanes, weights, slots)
    if parts:
        waiting = _read_heads(connection, precision, max(limit, min(max(parts.values()), BATCH)))
    first, in_turn = share_out(waiting, busy, lanes, weights, caps, limit, parts, turn)
    chosen = [QueuedChunk(*item, True) for item in first] + [QueuedChunk(*item, False) for item in in_turn]
    return _mark_queued(connection, _count(connection, turn, chosen[:BATCH]))


def _read_heads(
    connection: Connection, precision: Precision, limit: int
) -> dict[QueueKey, list[Waiting[tuple[UUID, int]]]]:
    heads = defaultdict(list)
    for row in connection.execute(_CHUNKS_WAITING, {"precision": precision, "limit": limit}):
        heads[QueueKey(row.lane, str(row.team_id))].append(Waiting((row.run_id, row.idx), row.frames))
    return heads


def queue_stored_videos(connection: Connection, most_under_way: int) -> list[UUID]:
    """Mark as queued the stored videos that are ingested next, so that at most so many are sent or being ingested."""
    turn = _take_turn(connection, "poseline.dispatch.ingest")
    if turn is None:
        return []
    under_way = connection.execute(_VIDEOS_UNDER_WAY).all()
    limit = min(most_under_way - sum(row.videos for row in under_way), BATCH)
    if limit <= 0:
        return []
    heads = connection.execute(_VIDEOS_WAITING, {"limit": limit}).all()
    if not heads:
        return []
    weights, _ = _teams(connection, {row.team_id for row in heads})
    waiting = defaultdict(list)
    for row in heads:
        waiting[QueueKey(_INGEST.name, str(row.team_id))].append(Waiting(row.id, 1))
    chosen = share_out(
        waiting,
        {QueueKey(_INGEST.name, str(row.team_id)): UnderWay(row.videos, row.videos) for row in under_way},
        [_INGEST],
        weights,
        {},
        limit,
        turn=turn,
    ).in_turn
    _count(connection, turn, chosen)
    marked = connection.execute(
        video.update()
        .where(video.c.id.in_(chosen), video.c.state == VideoState.STORED, video.c.lease_token.is_(None))
        .values(queued_at=func.clock_timestamp())
        .returning(video.c.id)
    )
    taken = set(marked.scalars())
    return [video_id for video_id in chosen if video_id in taken]


def requeue_lost_chunks(connection: Connection, older_than_s: float, precision: Precision = "fp32") -> int:
    """Make chunks of this precision ready again whose message was sent that long ago and never arrived. Returns how
    many there were."""
    return connection.execute(
        move_to(ChunkState.READY, queued_at=None).where(
            chunk.c.state == ChunkState.QUEUED,
            chunk.c.queued_at < after(-older_than_s),
            run.c.id == chunk.c.run_id,
            run.c.precision == precision,
        )
    ).rowcount


def requeue_lost_videos(connection: Connection, older_than_s: float) -> int:
    """Make stored videos wait again whose message was sent that long ago and never arrived. Returns how many there
    were."""
    return connection.execute(
        video.update()
        .where(
            video.c.state == VideoState.STORED,
            video.c.queued_at.is_not(None),
            video.c.lease_token.is_(None),
            video.c.queued_at < after(-older_than_s),
        )
        .values(queued_at=None)
    ).rowcount


def _take_turn(connection: Connection, name: str) -> int | None:
    """Which turn it is, where this process fills the window now; what it misses is seen at the next chunk's end."""
    row = connection.execute(_LOCK, {"key": advisory_key(name)}).one()
    return int(row.turn) if row.locked else None


def _count(connection: Connection, turn: int, chosen: Sequence[_Item]) -> Sequence[_Item]:
    if chosen:
        connection.execute(_COUNT_TURNS, {"turn": turn + len(chosen)})
    return chosen


def _teams(connection: Connection, ids: set[UUID]) -> tuple[dict[str, float], dict[str, int]]:
    rows = connection.execute(select(team.c.id, team.c.weight, team.c.max_slots).where(team.c.id.in_(ids))).all()
    return (
        {str(row.id): row.weight for row in rows},
        {str(row.id): row.max_slots for row in rows if row.max_slots is not None},
    )


def _mark_queued(connection: Connection, chosen: Sequence[QueuedChunk]) -> list[QueuedChunk]:
    picked: Any = (
        func.unnest(
            cast([one.run_id for one in chosen], ARRAY(Uuid)), cast([one.idx for one in chosen], ARRAY(Integer))
        )
        .table_valued(column("run_id", Uuid), column("idx", Integer), name="picked")
        .render_derived()
    )
    # Whoever ends a run locks its chunks, too; waiting for each other would end in a deadlock.
    free = (
        select(chunk.c.run_id, chunk.c.idx)
        .join(picked, (chunk.c.run_id == picked.c.run_id) & (chunk.c.idx == picked.c.idx))
        .with_for_update(of=chunk, skip_locked=True)
        .cte("free")
    )
    moved = connection.execute(
        move_to(ChunkState.QUEUED, queued_at=func.clock_timestamp())
        .where(chunk.c.run_id == free.c.run_id, chunk.c.idx == free.c.idx)
        .returning(chunk.c.run_id, chunk.c.idx)
    )
    taken = {(row.run_id, row.idx) for row in moved}
    return [one for one in chosen if (one.run_id, one.idx) in taken]
