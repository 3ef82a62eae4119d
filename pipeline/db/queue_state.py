"""What waits, what is under way and how fast it goes, for `poseline queue` and its forecast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from pipeline.core.fair_share import Lane
from pipeline.core.states import RunState

#: What was measured longer ago than this says little of now.
_RECENT_S = 120.0
_MOST_CHUNKS = 2000


@dataclass(frozen=True)
class LaneRow:
    """A lane of the queue."""

    lane: Lane
    paused_at: datetime | None


@dataclass(frozen=True)
class QueuedRun:
    """A run that is not done.

    Args:
        frames: of its video; None where it has not been ingested.
        size_bytes: of its video.
        paused: its team or lane is, or it waits for the next pass of its schedule.
        frames_left: those of chunks that have not ended, less the progress in these; of a run that a pass takes in
            part, of that part.
        chunks_left: chunks that have not ended.
    """

    id: UUID
    lane: str
    team_id: UUID
    team: str
    weight: float
    max_slots: int | None
    paused: bool
    state: RunState
    video: str
    model_fingerprint: str
    created_at: datetime
    deadline: datetime | None
    frames: int | None
    size_bytes: int | None
    frames_left: int
    chunks_left: int


@dataclass(frozen=True)
class Pace:
    """Chunks that ended lately, of one run.

    Args:
        slot_s: the time they took on their slots, together.
        measured_s: since the first of these chunks began, of all runs.
        steady_s: since the first quarter of them had begun; before it slots may have had nothing to do.
        busy_s: what the slots spent on chunks in that time, also on those that are not done, of all runs together.
    """

    run_id: UUID
    model_fingerprint: str
    lane: str
    team_id: UUID
    frames: int
    slot_s: float
    measured_s: float
    steady_s: float
    busy_s: float


@dataclass(frozen=True)
class ChunkUnderWay:
    """A chunk that is sent or being analysed.

    Args:
        frames_done: at its last heartbeat.
        running_s: since it was claimed; None where it waits in Redis.
    """

    run_id: UUID
    frames: int
    frames_done: int
    running_s: float | None


_OPEN_RUNS = text("""
SELECT run.id, run.lane, run.team_id, team.name AS team, team.weight, team.max_slots,
       team.paused_at IS NOT NULL OR lane.paused_at IS NOT NULL OR run.held AS paused,
       run.state, video.name AS video, run.model_fingerprint, run.created_at, run.deadline, video.frames,
       video.size_bytes,
       CASE WHEN run.state = 'finishing' THEN 0
            WHEN run.state = 'running' THEN (
                SELECT coalesce(sum(chunk.frames - chunk.frames_done), 0) FROM chunk
                WHERE chunk.run_id = run.id AND chunk.state IN ('ready', 'queued', 'running')
                    AND chunk.idx < coalesce(run.chunk_limit, 2147483647))
            ELSE coalesce(video.frames, 0) END AS frames_left,
       coalesce(run.chunks_pending, 1) AS chunks_left
FROM run JOIN video ON video.id = run.video_id JOIN team ON team.id = run.team_id JOIN lane ON lane.name = run.lane
WHERE run.state IN ('waiting', 'queued', 'running', 'finishing')
ORDER BY lane.rank, team.name, run.state = 'waiting', run.rank, run.due_at, run.id
""")

_CHUNKS_UNDER_WAY = text("""
SELECT run_id, chunk.frames, chunk.frames_done,
       CASE WHEN chunk.state = 'running' THEN extract(epoch FROM clock_timestamp() - chunk.started_at) END AS running_s
FROM chunk JOIN run ON run.id = run_id
WHERE chunk.state IN ('queued', 'running') AND run.state IN ('queued', 'running')
ORDER BY chunk.queued_at
""")

_PACES = text("""
WITH recent AS (
    SELECT run_id, frames, started_at, finished_at FROM chunk
    WHERE finished_at > clock_timestamp() - make_interval(secs => :recent_s) AND state = 'done'
      AND NOT EXISTS (SELECT FROM run WHERE run.id = run_id AND run.params ? 'live')
    ORDER BY finished_at DESC LIMIT :most
), since AS (
    SELECT clock_timestamp() AS now, min(started_at) AS first,
           percentile_disc(0.25) WITHIN GROUP (ORDER BY started_at) AS steady FROM recent
), busy AS (
    SELECT coalesce(sum(extract(
               epoch FROM least(spent.until, since.now) - greatest(spent.started_at, since.steady)
           )), 0)::double precision AS busy_s
    FROM since, (
        SELECT started_at, finished_at AS until FROM recent
        UNION ALL
        SELECT chunk.started_at, 'infinity' FROM chunk JOIN run ON run.id = chunk.run_id
        WHERE chunk.state = 'running' AND run.state = 'running'
    ) AS spent
    WHERE spent.until > since.steady
)
SELECT run_id, model_fingerprint, lane, team_id, sum(frames) AS frames,
       sum(extract(epoch FROM recent.finished_at - recent.started_at))::double precision AS slot_s,
       extract(epoch FROM since.now - since.first)::double precision AS measured_s,
       extract(epoch FROM since.now - since.steady)::double precision AS steady_s, busy_s
FROM recent JOIN run ON run.id = recent.run_id, since, busy
GROUP BY run_id, model_fingerprint, lane, team_id, since.now, since.first, since.steady, busy_s
""")


def select_lanes(connection: Connection) -> list[LaneRow]:
    """The lanes by rank."""
    rows = connection.execute(text("SELECT name, rank, share, paused_at FROM lane ORDER BY rank"))
    return [LaneRow(Lane(row.name, row.rank, row.share), row.paused_at) for row in rows]


def update_share(connection: Connection, name: str, share: float) -> None:
    """Change the share that is kept for a lane."""
    connection.execute(text("UPDATE lane SET share = :share WHERE name = :name"), {"name": name, "share": share})


def select_open_runs(connection: Connection) -> list[QueuedRun]:
    """Every run that is not done, of each lane and team in the order in which its queue has them."""
    rows = connection.execute(_OPEN_RUNS).mappings()
    return [QueuedRun(**{**row, "state": RunState(row["state"])}) for row in rows]


def select_chunks_under_way(connection: Connection) -> list[ChunkUnderWay]:
    """The chunks that are sent or being analysed, in the order in which they were sent."""
    rows = connection.execute(_CHUNKS_UNDER_WAY)
    return [
        ChunkUnderWay(row.run_id, row.frames, row.frames_done, None if row.running_s is None else float(row.running_s))
        for row in rows
    ]


def select_paces(connection: Connection) -> list[Pace]:
    """How fast chunks ended lately, by run."""
    values = {"recent_s": _RECENT_S, "most": _MOST_CHUNKS}
    return [Pace(**row) for row in connection.execute(_PACES, values).mappings()]


def select_turn(connection: Connection) -> int:
    """How many chunks were chosen to be sent so far: whose turn it is."""
    return int(connection.execute(text("SELECT last_value FROM dispatch_turn")).scalar_one())


_MODEL_PACE = text("""
SELECT sum(extract(epoch FROM chunk.finished_at - chunk.started_at))::double precision / sum(chunk.frames)
FROM (
    SELECT id FROM run WHERE model_fingerprint = :fingerprint AND state = 'done' AND NOT params ? 'live'
    ORDER BY finished_at DESC LIMIT :runs
) AS newest JOIN chunk ON chunk.run_id = newest.id
WHERE chunk.state = 'done'
""")


def select_model_pace(connection: Connection, fingerprint: str, runs: int = 20) -> float | None:
    """Seconds that a frame took a slot in a model's last runs; None where it has none."""
    pace: float | None = connection.execute(_MODEL_PACE, {"fingerprint": fingerprint, "runs": runs}).scalar()
    return pace
