"""Runs: requested, planned, finished once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, Text, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.chunk_plan import ChunkPlan
from pipeline.core.model_spec import ModelSpec
from pipeline.core.precision import Precision
from pipeline.core.states import ChunkState, RunState, VideoState
from pipeline.db.chunks import insert_chunks
from pipeline.db.leases import UNLEASED, Lease, after, lease_values
from pipeline.db.tables import chunk, model, run, team, video
from pipeline.db.teams import of_team
from pipeline.db.transitions import move_to
from pipeline.errors import LeaseLost, NotFound


@dataclass(frozen=True)
class RunRow:
    """One run, with what is shown of its video, team and model."""

    id: UUID
    state: RunState
    reason: str | None
    lane: str
    video_id: UUID
    video: str
    video_state: VideoState
    team: str
    model_name: str
    model_fingerprint: str
    model_json: Mapping[str, Any]
    notes: Sequence[str]
    frames: int | None
    frames_done: int
    chunks_total: int | None
    chunks_pending: int | None
    frames_to_decode: int | None
    summary: Mapping[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    began_at: datetime | None
    finished_at: datetime | None

    @property
    def model(self) -> ModelSpec:
        """The requested model, parsed on use, so that a run can be listed where this raises.

        Raises:
            InvalidWeights: another version of Poseline described it in other fields.
        """
        return ModelSpec.from_facts(self.model_json)


def ensure_model(connection: Connection, fingerprint: str, name: str, spec: Mapping[str, Any]) -> None:
    """Keep what a model is, beside the runs that it made.

    Its name, licence, source and limbs are no part of its fingerprint: what was said of them last counts.
    """
    given = insert(model).values(fingerprint=fingerprint, name=name, spec=dict(spec))
    connection.execute(
        given.on_conflict_do_update(
            index_elements=["fingerprint"],
            set_={"name": given.excluded.name, "spec": given.excluded.spec},
            where=(model.c.name != given.excluded.name) | (model.c.spec != given.excluded.spec),
        )
    )


def select_precision(connection: Connection, run_id: UUID) -> Precision:
    """In which a run is to be computed."""
    statement = select(model.c.precision).join(run, run.c.model_fingerprint == model.c.fingerprint)
    precision: Precision = connection.execute(statement.where(run.c.id == run_id)).scalar_one()
    return precision


def mark_cancelled(connection: Connection, run_id: UUID) -> bool:
    """End a run that nobody wants any more; who works on it finds its lease gone. Returns whether it was open."""
    cancelled = move_to(RunState.CANCELLED, **UNLEASED, reason="cancelled", finished_at=func.clock_timestamp())
    return connection.execute(cancelled.where(run.c.id == run_id)).rowcount == 1


def insert_run(
    connection: Connection, video_id: UUID, model_fingerprint: str, *, lane: str = "fresh"
) -> tuple[UUID, bool]:
    """The run of that video by that model; asked for twice, it is the same one. Returns its id and if it is new."""
    same = (run.c.video_id == video_id, run.c.model_fingerprint == model_fingerprint)
    made = connection.execute(
        insert(run)
        .values(video_id=video_id, model_fingerprint=model_fingerprint, lane=lane, state=RunState.WAITING)
        .on_conflict_do_nothing()
        .returning(run.c.id)
    ).scalar_one_or_none()
    if made is not None:
        return made, True
    standing = run.c.state.not_in([RunState.FAILED, RunState.CANCELLED])
    return connection.execute(select(run.c.id).where(*same, standing)).scalar_one(), False


def select_model_spec(connection: Connection, fingerprint: str) -> Mapping[str, Any]:
    """What a model was when it was asked for."""
    spec: Mapping[str, Any] = connection.execute(
        select(model.c.spec).where(model.c.fingerprint == fingerprint)
    ).scalar_one()
    return spec


def move_waiting_runs(connection: Connection, from_video_id: UUID, to_video_id: UUID) -> None:
    """Runs of a doubled upload become runs of the video that stands, where it has no such run yet."""
    other = run.alias()
    stands = (
        select(other.c.id)
        .where(
            other.c.video_id == to_video_id,
            other.c.model_fingerprint == run.c.model_fingerprint,
            other.c.state.not_in([RunState.FAILED, RunState.CANCELLED]),
        )
        .exists()
    )
    connection.execute(
        update(run)
        .where(run.c.video_id == from_video_id, run.c.state == RunState.WAITING, ~stands)
        .values(video_id=to_video_id)
    )


def select_plannable_runs(
    connection: Connection, video_id: UUID | None = None, limit: int | None = None
) -> Sequence[tuple[UUID, UUID]]:
    """Runs that wait although their video is ready, locked for the caller's transaction: (run, video)."""
    statement = (
        select(run.c.id, run.c.video_id)
        .join(video, video.c.id == run.c.video_id)
        .where(run.c.state == RunState.WAITING, video.c.state == VideoState.READY)
        .order_by(func.random())  # one that cannot be planned must not stand before the others for ever
        .limit(limit)
        .with_for_update(of=run, skip_locked=True)
    )
    if video_id is not None:
        statement = statement.where(run.c.video_id == video_id)
    return [(row.id, row.video_id) for row in connection.execute(statement)]


def start_run(connection: Connection, run_id: UUID, plans: Sequence[ChunkPlan], frames_to_decode: int) -> None:
    """Cut a run into its chunks; the total is fixed before any chunk can be seen."""
    insert_chunks(connection, run_id, plans)
    connection.execute(
        move_to(
            RunState.RUNNING,
            chunks_total=len(plans),
            chunks_pending=len(plans),
            frames_to_decode=frames_to_decode,
            started_at=func.clock_timestamp(),
        ).where(run.c.id == run_id)
    )


def claim_finish(connection: Connection, run_id: UUID, worker: str, lease_s: float) -> Lease | None:
    """Own a run in order to finish it; None where there is nothing to do (any more)."""
    row = connection.execute(
        update(run)
        .where(
            run.c.id == run_id,
            run.c.state == RunState.FINISHING,
            run.c.lease_token.is_(None),
            run.c.not_before <= func.clock_timestamp(),
        )
        .values(**lease_values(worker, lease_s, run))
        .returning(run.c.lease_token)
    ).first()
    return None if row is None else Lease("run", (run_id,), row.lease_token)


def mark_done(connection: Connection, lease: Lease, summary: Mapping[str, Any]) -> None:
    """The run's results stand for good, and become the video's current ones.

    Raises:
        LeaseLost: somebody else finishes it now.
    """
    statement = move_to(RunState.DONE, **UNLEASED, summary=dict(summary), finished_at=func.clock_timestamp()).where(
        lease.is_held()
    )
    if connection.execute(statement).rowcount != 1:
        raise LeaseLost
    owner = select(run.c.video_id).where(run.c.id == lease.key[0]).scalar_subquery()
    connection.execute(update(video).where(video.c.id == owner).values(current_run_id=lease.key[0]))


def mark_failed(connection: Connection, run_id: UUID, reason: str, summary: Mapping[str, Any] | None = None) -> bool:
    """End a run without results; pieces still at work are fenced off. Returns whether it was still open."""
    return bool(
        connection.execute(
            move_to(
                RunState.FAILED,
                **UNLEASED,
                reason=reason,
                summary=None if summary is None else dict(summary),
                finished_at=func.clock_timestamp(),
            ).where(run.c.id == run_id)
        ).rowcount
    )


def select_unsent_finishes(connection: Connection, older_than_s: float) -> Sequence[UUID]:
    """Runs to be finished that nobody works on and whose message is old, noted as sent again."""
    return (
        connection.execute(
            update(run)
            .where(
                run.c.state == RunState.FINISHING,
                run.c.lease_token.is_(None),
                run.c.not_before <= func.clock_timestamp(),
                func.coalesce(run.c.queued_at, run.c.not_before) < after(-older_than_s),
            )
            .values(queued_at=func.clock_timestamp())
            .returning(run.c.id)
        )
        .scalars()
        .all()
    )


def select_run(connection: Connection, run_id: UUID, *, team: str | None) -> RunRow:
    """One run, of that team only unless it is None.

    Raises:
        NotFound: there is no such run, or it is another team's.
    """
    rows = _rows(connection, of_team(_runs().where(run.c.id == run_id), team))
    if not rows:
        raise NotFound(f"there is no run {run_id}; `poseline runs` lists what there is")
    return rows[0]


def find_run(connection: Connection, prefix: str, *, team: str | None) -> UUID:
    """The id of a run by its first characters, of that team only unless it is None.

    Raises:
        NotFound: none or several begin with them.
    """
    wanted = prefix.lower().replace("-", "")
    if not wanted or not all(c in "0123456789abcdef" for c in wanted):
        raise NotFound(f"{prefix!r} is not a run id; `poseline runs` lists them")
    compact = func.replace(cast(run.c.id, Text), "-", "")
    matching = of_team(_runs().where(compact.startswith(wanted)), team).with_only_columns(run.c.id)
    ids: Sequence[UUID] = connection.execute(matching.limit(2)).scalars().all()
    if len(ids) != 1:
        found = "several runs begin" if ids else "no run begins"
        raise NotFound(f"{found} with {prefix!r}; `poseline runs` lists them")
    return ids[0]


def select_runs(connection: Connection, *, team: str | None, limit: int) -> list[RunRow]:
    """The newest runs, of that team only unless it is None."""
    return _rows(connection, of_team(_runs(), team).order_by(run.c.created_at.desc(), run.c.id).limit(limit))


def _runs() -> Select[Any]:
    done = (
        select(func.coalesce(func.sum(chunk.c.frames_done), 0))
        .where(
            chunk.c.run_id == run.c.id,
            chunk.c.state.in_([ChunkState.RUNNING, ChunkState.DONE, ChunkState.QUARANTINED]),
        )
        .scalar_subquery()
    )
    began = select(func.min(chunk.c.started_at)).where(chunk.c.run_id == run.c.id).scalar_subquery()
    return (
        select(
            run,
            video.c.name.label("video"),
            video.c.state.label("video_state"),
            video.c.notes,
            video.c.frames,
            team.c.name.label("team"),
            model.c.name.label("model_name"),
            model.c.spec.label("model_json"),
            done.label("frames_done"),
            began.label("began_at"),
        )
        .join(video, video.c.id == run.c.video_id)
        .join(team, team.c.id == video.c.team_id)
        .join(model, model.c.fingerprint == run.c.model_fingerprint)
    )


def _rows(connection: Connection, statement: Select[Any]) -> list[RunRow]:
    enums: Mapping[str, Any] = {"state": RunState, "video_state": VideoState}
    return [
        RunRow(**{name: enums[name](row[name]) if name in enums else row[name] for name in RunRow.__dataclass_fields__})
        for row in connection.execute(statement).mappings()
    ]
