"""Runs: requested, planned, and read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Float, Select, cast, func, literal, select, union_all, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.chunk_plan import ChunkPlan
from pipeline.core.model_spec import ModelSpec
from pipeline.core.states import ChunkState, RunState, VideoState
from pipeline.db.chunks import insert_chunks
from pipeline.db.live_runs import is_live
from pipeline.db.originals import no_new_run
from pipeline.db.tables import chunk, lane, model, run, team, video
from pipeline.db.teams import of_team
from pipeline.db.transitions import move_to
from pipeline.errors import NotFound

#: The lane of what is analysed again when there is room.
REPROCESS = "reprocess"


@dataclass(frozen=True)
class RunRow:
    """One run, with what is shown of its video, team and model.

    Args:
        video_s: seconds from the video's first frame to its last.
        started_at: when a worker took its first chunk; None while it waits or is queued.
        paused_at: since when its team or its lane is paused.
        promotion: the rule by which it becomes its video's current run, as `core.promotion` reads it.
        is_current: whether it is.
        params: what tells it apart from others of its video and model.
    """

    id: UUID
    state: RunState
    reason: str | None
    lane: str
    deadline: datetime | None
    video_id: UUID
    video: str
    video_state: VideoState
    team: str
    model_name: str
    model_fingerprint: str
    model_json: Mapping[str, Any]
    notes: Sequence[str]
    tags: Mapping[str, str]
    frames: int | None
    video_s: float | None
    frames_done: int
    chunks_total: int | None
    chunks_pending: int | None
    frames_to_decode: int | None
    summary: Mapping[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    paused_at: datetime | None
    export_removed_at: datetime | None
    promotion: str
    is_current: bool
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> Mapping[str, Any] | None:
        """The live session whose poses it has; None where they were computed from the video."""
        return self.params.get("live")

    @property
    def model(self) -> ModelSpec:
        """The requested model, parsed on use, so that a run can be listed where this raises.

        Raises:
            InvalidWeights: another version of Poseline described it in other fields.
        """
        return ModelSpec.from_dict(self.model_json)


def insert_run(
    connection: Connection,
    video_id: UUID,
    model_fingerprint: str,
    *,
    lane: str = "fresh",
    deadline: datetime | None = None,
    retry_of: UUID | None = None,
) -> tuple[UUID, bool]:
    """Insert the run of a video by a model, or find the newest that stands. Returns its id and whether it is new.

    The deadline of one that exists and is not done becomes the earlier of the two.

    Args:
        retry_of: a done run of the same video and model, beside which this one is made.

    Raises:
        OriginalRemoved: there is none, and the video's original was removed by its team's rule.
        NotFound: the video was erased.
    """
    params = {} if retry_of is None else {"retry_of": str(retry_of)}
    made = insert_runs(connection, [video_id], model_fingerprint, lane=lane, deadline=deadline, params=params)
    if video_id not in made:
        raise no_new_run(connection, video_id)
    return made[video_id]


def insert_runs(
    connection: Connection,
    video_ids: Collection[UUID],
    model_fingerprint: str,
    *,
    lane: str = "fresh",
    deadline: datetime | None = None,
    params: Mapping[str, str] | None = None,
) -> dict[UUID, tuple[UUID, bool]]:
    """As `insert_run` for many videos, by their ids, without those that have none and whose original was removed. One
    that is to be analysed again at night is raised to `lane`."""
    precision = select(model.c.precision).where(model.c.fingerprint == model_fingerprint).scalar_subquery()
    values = {
        "video_id": video.c.id,
        "model_fingerprint": literal(model_fingerprint),
        "team_id": video.c.team_id,
        "precision": precision,
        "lane": literal(lane),
        "deadline": literal(deadline, run.c.deadline.type),
        "params": literal(dict(params or {}), run.c.params.type),
        "state": literal(RunState.WAITING),
    }
    # Locked, so that no original is removed while its run is made.
    wanted = (
        select(*values.values())
        .where(video.c.id.in_(video_ids), video.c.original_removed_at.is_(None))
        .order_by(video.c.id)
        .with_for_update(read=True, of=video)
    )
    made = connection.execute(
        insert(run).from_select(list(values), wanted).on_conflict_do_nothing().returning(run.c.id, run.c.video_id)
    )
    runs = {row.video_id: (row.id, True) for row in made}
    rest = [video_id for video_id in video_ids if video_id not in runs]
    standing = dict(find_standing_runs(connection, rest, model_fingerprint))
    if deadline is not None and standing:
        connection.execute(
            update(run)
            .where(run.c.id.in_(standing.values()), run.c.state != RunState.DONE)
            .values(deadline=func.least(run.c.deadline, deadline))
        )
    if lane != REPROCESS and standing:
        connection.execute(
            update(run)
            .where(run.c.id.in_(standing.values()), run.c.state != RunState.DONE, run.c.lane == REPROCESS)
            .values(lane=lane, held=False, chunk_limit=None)
        )
    return runs | {video_id: (run_id, False) for video_id, run_id in standing.items()}


def find_standing_runs(
    connection: Connection, video_ids: Collection[UUID], model_fingerprint: str
) -> list[tuple[UUID, UUID]]:
    """The newest runs of these videos by a model that have not failed or been cancelled: ids of video and run."""
    if not video_ids:
        return []
    rows = connection.execute(
        select(run.c.video_id, run.c.id)
        .where(
            run.c.video_id.in_(video_ids),
            run.c.model_fingerprint == model_fingerprint,
            run.c.state.not_in([RunState.FAILED, RunState.CANCELLED]),
            ~is_live(),
        )
        .order_by(run.c.created_at, run.c.id.desc())
    )
    newest = {row.video_id: row.id for row in rows}
    return list(newest.items())


def sample_of_runs(state: RunState, limit: int) -> Select[tuple[UUID]]:
    """SQL: the ids of at most `limit` runs in that state; all of them where there are no more, else others each time.

    What looks for what should never be wrong looks at few at a time, so that it costs the same however many there are.
    """
    start = uuid4()
    parts = [
        select(run.c.id).where(run.c.state == str(state), side).order_by(run.c.id).limit(limit).subquery()
        for side in (run.c.id >= start, run.c.id < start)
    ]
    ids = union_all(*(select(part.c.id) for part in parts)).limit(limit).subquery()
    return select(run.c.id).where(run.c.id.in_(select(ids.c.id)), run.c.state == str(state))


def select_plannable_runs(
    connection: Connection, video_id: UUID | None = None, sample: int | None = None
) -> Sequence[tuple[UUID, UUID]]:
    """Runs that wait although their video is ready, locked for the caller's transaction: ids of run and video.

    Args:
        video_id: of this video only.
        sample: look at so many of all that wait.
    """
    statement = (
        select(run.c.id, run.c.video_id)
        .join(video, video.c.id == run.c.video_id)
        .where(run.c.state == RunState.WAITING, video.c.state == VideoState.READY)
        .with_for_update(of=run, skip_locked=True)
    )
    if video_id is not None:
        statement = statement.where(run.c.video_id == video_id)
    if sample is not None:
        statement = statement.where(run.c.id.in_(sample_of_runs(RunState.WAITING, sample)))
    return [(row.id, row.video_id) for row in connection.execute(statement)]


def queue_run(connection: Connection, run_id: UUID, plans: Sequence[ChunkPlan], frames_to_decode: int) -> None:
    """Insert a run's chunks and queue it; the total is fixed before any chunk is visible."""
    insert_chunks(connection, run_id, plans)
    connection.execute(
        move_to(
            RunState.QUEUED,
            chunks_total=len(plans),
            chunks_pending=len(plans),
            frames_to_decode=frames_to_decode,
        ).where(run.c.id == run_id)
    )


def select_run(connection: Connection, run_id: UUID, *, team: str | None) -> RunRow:
    """One run, of that team only unless it is None.

    Raises:
        NotFound: there is no such run, or it is another team's.
    """
    rows = read_runs(connection, of_team(runs_query().where(run.c.id == run_id), team))
    if not rows:
        raise NotFound(f"there is no run {run_id} of yours: it was removed, or is another team's")
    return rows[0]


def run_exists(connection: Connection, run_id: UUID) -> bool:
    """Whether there is a run of that id."""
    return connection.execute(select(run.c.id).where(run.c.id == run_id)).first() is not None


def runs_query() -> Select[Any]:
    """Every run with what `RunRow` holds, to be narrowed and ordered."""
    done = (
        select(func.coalesce(func.sum(chunk.c.frames_done), 0))
        .where(
            chunk.c.run_id == run.c.id,
            chunk.c.state.in_([ChunkState.RUNNING, ChunkState.DONE, ChunkState.QUARANTINED]),
        )
        .scalar_subquery()
    )
    video_s = cast(video.c.last_pts - video.c.first_pts, Float) * video.c.time_base_num / video.c.time_base_den
    return (
        select(
            run,
            video.c.name.label("video"),
            video.c.state.label("video_state"),
            video.c.notes,
            video.c.tags,
            video.c.frames,
            video_s.label("video_s"),
            team.c.name.label("team"),
            model.c.name.label("model_name"),
            model.c.spec.label("model_json"),
            done.label("frames_done"),
            func.least(team.c.paused_at, lane.c.paused_at).label("paused_at"),
            (video.c.current_run_id.is_not_distinct_from(run.c.id)).label("is_current"),
        )
        .join(video, video.c.id == run.c.video_id)
        .join(team, team.c.id == video.c.team_id)
        .join(model, model.c.fingerprint == run.c.model_fingerprint)
        .join(lane, lane.c.name == run.c.lane)
    )


def read_runs(connection: Connection, statement: Select[Any]) -> list[RunRow]:
    """The rows of a narrowed `runs_query`."""
    enums: Mapping[str, Any] = {"state": RunState, "video_state": VideoState}
    return [
        RunRow(**{name: enums[name](row[name]) if name in enums else row[name] for name in RunRow.__dataclass_fields__})
        for row in connection.execute(statement).mappings()
    ]
