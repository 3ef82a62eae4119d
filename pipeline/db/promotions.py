"""Which run is a video's current one, and the history of how it came to be.

`video.current_run_id` is the truth. It changes only here, in one transaction with a row of history, with the video's
row locked. The rows of runs are locked after that, for a trigger notes in them since when they are not current; whoever
finishes a run has its row locked before, and nobody promotes a run that is not done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, insert, select, update

from pipeline.core.states import RunState
from pipeline.db.tables import model, promotion, run, team, video
from pipeline.errors import NotFound

#: Of a pass: by fewer characters it is not meant.


@dataclass(frozen=True)
class PromotionRow:
    """One entry of a video's history.

    Args:
        run_id: that became current or was kept back; None where it was deleted since.
        previous_run_id: the current one before; None where there was none, or it was deleted since.
        promoted: False where the run was kept back.
        undoes: the entry that a rollback took back.
    """

    id: int
    at: datetime
    by: str
    reason: str
    promoted: bool
    undoes: int | None
    run_id: UUID | None
    previous_run_id: UUID | None
    model: str | None


def lock_current(connection: Connection, video_id: UUID) -> UUID | None:
    """Lock a video's row until the transaction ends. Returns its current run, None where it has none.

    Raises:
        NotFound: the video was erased.
    """
    found = select(video.c.current_run_id).where(video.c.id == video_id).with_for_update(key_share=True)
    row = connection.execute(found).first()
    if row is None:
        raise NotFound(f"there is no video {video_id}: it was erased")
    current: UUID | None = row.current_run_id
    return current


def select_current(connection: Connection, video_id: UUID) -> UUID | None:
    """A video's current run now, None where it has none."""
    current: UUID | None = connection.execute(
        select(video.c.current_run_id).where(video.c.id == video_id)
    ).scalar_one_or_none()
    return current


def lock_state(connection: Connection, run_id: UUID) -> RunState | None:
    """Keep a run from being deleted or changed until the transaction ends. Returns its state, None where it is gone."""
    state = connection.execute(select(run.c.state).where(run.c.id == run_id).with_for_update(key_share=True)).scalar()
    return None if state is None else RunState(state)


def make_current(
    connection: Connection, video_id: UUID, run_id: UUID, *, by: str, reason: str, undoes: int | None = None
) -> None:
    """Make a run its video's current one, and write that into the history. Both rows are locked by the caller."""
    previous = select_current(connection, video_id)
    connection.execute(update(video).where(video.c.id == video_id).values(current_run_id=run_id))
    _note(connection, video_id, run_id, previous, by=by, reason=reason, promoted=True, undoes=undoes)


def note_kept_back(connection: Connection, video_id: UUID, run_id: UUID, *, by: str, reason: str) -> None:
    """Write into the history that a run did not become current."""
    _note(connection, video_id, run_id, select_current(connection, video_id), by=by, reason=reason, promoted=False)


def _note(connection: Connection, video_id: UUID, run_id: UUID, previous: UUID | None, **values: object) -> None:
    row = {"video_id": video_id, "run_id": run_id, "previous_run_id": previous, **values}
    connection.execute(insert(promotion).values(**row))


def select_history(connection: Connection, video_id: UUID) -> Sequence[PromotionRow]:
    """All entries of a video, the newest first."""
    rows = connection.execute(_history().where(promotion.c.video_id == video_id).order_by(promotion.c.id.desc()))
    return [PromotionRow(**row) for row in rows.mappings()]


def select_undoable(connection: Connection, video_id: UUID) -> PromotionRow | None:
    """The entry by which the current run became current, and which no rollback took back; None where none says so."""
    undone = promotion.alias()
    taken_back = select(undone.c.id).where(undone.c.video_id == video_id, undone.c.undoes == promotion.c.id)
    row = connection.execute(
        _history()
        .where(
            promotion.c.video_id == video_id,
            promotion.c.promoted,
            promotion.c.undoes.is_(None),
            ~taken_back.exists(),
        )
        .order_by(promotion.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else PromotionRow(**row._mapping)


def select_decision(connection: Connection, run_id: UUID) -> PromotionRow | None:
    """The newest entry on a run: whether it became current or was kept back, and why."""
    row = connection.execute(
        _history().where(promotion.c.run_id == run_id).order_by(promotion.c.id.desc()).limit(1)
    ).first()
    return None if row is None else PromotionRow(**row._mapping)


def _history() -> Select[Any]:
    columns = [promotion.c[name] for name in PromotionRow.__dataclass_fields__ if name != "model"]
    return (
        select(*columns, model.c.name.label("model"))
        .join(run, run.c.id == promotion.c.run_id, isouter=True)
        .join(model, model.c.fingerprint == run.c.model_fingerprint, isouter=True)
    )


def select_pass_of(connection: Connection, run_id: UUID) -> UUID | None:
    """The pass that asked for a run, None for any other."""
    found: UUID | None = connection.execute(select(run.c.pass_id).where(run.c.id == run_id)).scalar_one_or_none()
    return found


def select_current_of_passes(connection: Connection, passes: Sequence[UUID], *, team_name: str | None) -> list[UUID]:
    """The ids of the videos whose current run came from one of these passes, in their order."""
    statement = (
        select(video.c.id)
        .join(run, run.c.video_id == video.c.id)
        .where(run.c.pass_id.in_(passes), video.c.current_run_id == run.c.id)
        .order_by(video.c.id)
    )
    if team_name is not None:
        statement = statement.join(team, team.c.id == video.c.team_id).where(team.c.name == team_name)
    return list(connection.execute(statement).scalars())
