"""Remove what is older than a rule keeps it: one video, run or batch in a transaction, checked again under its lock."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, delete, func, select, update

from pipeline.db.audit import delete_older_audit
from pipeline.db.outlived import cutoff, is_outlived, of_table, outlived_passes, outlived_promotions
from pipeline.db.retention import Rule
from pipeline.db.tables import pass_, promotion, proxy, run, video

_BATCH = 500


@dataclass(frozen=True)
class Original:
    """Where an original that may go is stored."""

    bucket: str
    key: str
    size_bytes: int


def lock_original(connection: Connection, rule: Rule, video_id: UUID) -> Original | None:
    """Lock a video whose original may go; None where it may not any more, or another transaction has it.

    Meanwhile no run can be requested of it.
    """
    held = select(video.c.bucket, video.c.object_key, video.c.size_bytes).where(
        video.c.id == video_id, is_outlived(rule)
    )
    if connection.execute(held.with_for_update(skip_locked=True)).first() is None:
        return None
    # Once more, in a statement that sees what was committed before the lock was there.
    row = connection.execute(held).first()
    return None if row is None else Original(row.bucket, row.object_key, row.size_bytes or 0)


def select_runs(connection: Connection, video_id: UUID) -> list[UUID]:
    """The runs of a video."""
    return list(connection.execute(select(run.c.id).where(run.c.video_id == video_id)).scalars())


def mark_original_removed(connection: Connection, video_id: UUID) -> None:
    """Note that a video's object was removed by its team's rule."""
    connection.execute(update(video).where(video.c.id == video_id).values(original_removed_at=func.clock_timestamp()))


def lock_proxy(connection: Connection, rule: Rule, video_id: UUID) -> str | None:
    """Lock the copy of a video that may go. Returns its key; None where it may not any more."""
    held = select(proxy.c.object_key).where(proxy.c.video_id == video_id, is_outlived(rule))
    key: str | None = connection.execute(held.with_for_update(skip_locked=True, of=proxy)).scalar_one_or_none()
    return key


def lock_run(connection: Connection, rule: Rule, run_id: UUID) -> bool:
    """Lock a run that may go, or whose export may. Returns False where it may not any more."""
    held = select(run.c.id).where(run.c.id == run_id, is_outlived(rule))
    if connection.execute(held.with_for_update(skip_locked=True, of=of_table(rule))).first() is None:
        return False
    return connection.execute(held).first() is not None


def mark_export_outlived(connection: Connection, run_id: UUID) -> None:
    """Note that a run's export was removed by its team's rule."""
    gone = {"export_key": None, "export_removed_at": func.clock_timestamp()}
    connection.execute(update(run).where(run.c.id == run_id).values(**gone))


def delete_run(connection: Connection, run_id: UUID) -> None:
    """Delete a run that has ended, with its chunks and comparisons; its frames go afterwards (`frame_removal`)."""
    connection.execute(delete(run).where(run.c.id == run_id))


def delete_audit(connection: Connection, rule: Rule) -> int:
    """Delete a batch of old entries of the log, promotions and passes. Returns how many."""
    gone = delete_older_audit(connection, rule.team_id, cutoff(rule), _BATCH)
    if gone:
        return gone
    some = outlived_promotions(rule).order_by(promotion.c.id).limit(_BATCH).subquery()
    gone = connection.execute(delete(promotion).where(promotion.c.id.in_(select(some.c.id)))).rowcount
    if gone:
        return gone
    ids = list(connection.execute(outlived_passes(rule).order_by(pass_.c.closed_at).limit(1)).scalars())
    if not ids:
        return 0
    connection.execute(update(run).where(run.c.pass_id.in_(ids)).values(pass_id=None))
    return connection.execute(delete(pass_).where(pass_.c.id.in_(ids))).rowcount
