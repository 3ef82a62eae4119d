"""Backups: one snapshot of the database, the objects that it names, and a lock that keeps these meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, func, select, text, update
from sqlalchemy.exc import OperationalError

from pipeline.core.backup import CopiedObject
from pipeline.core.model_spec import ModelSpec
from pipeline.core.object_keys import weights_key
from pipeline.core.objects import StoredObject
from pipeline.core.states import RunState, VideoState
from pipeline.db.engine import advisory_key, database_errors
from pipeline.db.tables import model, run, video
from pipeline.errors import PoselineError, UsageError

_LOCK = advisory_key("poseline.backup")
_ROWS = 1000
#: Whoever removes objects holds the lock for less; another backup for longer.
_SWEEPS_END_IN_S = 3


@dataclass(frozen=True)
class Snapshot:
    """A state of the database that others can read as well, while the transaction of `connection` is open."""

    connection: Connection
    id: str
    taken_at: datetime
    revision: str


def may_remove_objects(connection: Connection) -> bool:
    """Whether objects may be removed in this transaction: not while a backup copies those that it has named."""
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock_shared(_LOCK))).scalar_one())


@contextmanager
def keeping_objects(engine: Engine) -> Iterator[Connection]:
    """Have no sweep remove objects during the block; it waits for those that are at it.

    Raises:
        UsageError: another backup is being made.
    """
    with database_errors(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET idle_session_timeout = 0"))
        connection.execute(text(f"SET lock_timeout = '{_SWEEPS_END_IN_S}s'"))
        try:
            connection.execute(select(func.pg_advisory_lock(_LOCK)))
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            raise UsageError("another backup is being made; repeat the command when it has ended") from error
        try:
            yield connection
        finally:
            if not connection.invalidated:
                connection.execute(select(func.pg_advisory_unlock(_LOCK)))


def check_kept(connection: Connection) -> None:
    """Check that nothing could be removed since `keeping_objects` began.

    Raises:
        PoselineError: the lock was lost with its connection.
    """
    held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted")
    with database_errors():
        if not connection.execute(held).scalar_one():
            raise PoselineError("the connection to Postgres was lost during the backup; repeat it")


@contextmanager
def snapshot(engine: Engine) -> Iterator[Snapshot]:
    """One state of the database, for `pg_dump --snapshot` and `iter_objects`."""
    from pipeline.db.migrate import current_revision  # noqa: PLC0415 - with Alembic, which no worker needs

    with (
        database_errors(),
        engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        connection.begin(),
    ):
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        row = connection.execute(select(func.pg_export_snapshot(), func.now())).one()
        yield Snapshot(connection, row[0], row[1], current_revision(connection) or "")


def iter_objects(taken: Snapshot, own_bucket: str) -> Iterator[CopiedObject]:
    """The objects that a snapshot's rows name: videos pinned, exports and weights with an empty ETag."""
    connection = taken.connection.execution_options(yield_per=_ROWS)
    pin = (video.c.bucket, video.c.object_key, video.c.etag, video.c.version_id)
    newest_first = func.max(video.c.created_at).desc()
    videos = (
        select(
            *pin,
            func.max(video.c.size_bytes).label("size_bytes"),
            func.row_number().over(partition_by=pin[:2], order_by=newest_first).label("number"),
        )
        .where(
            video.c.state.in_([VideoState.STORED, VideoState.READY]),
            video.c.etag.is_not(None),
            video.c.original_removed_at.is_(None),
        )
        .group_by(*pin)
    )
    for row in connection.execute(videos):
        source = StoredObject(row.bucket, row.object_key, row.size_bytes or 0, row.etag, row.version_id)
        yield CopiedObject(source, keeps_key=row.number == 1)
    exports = select(run.c.export_key).where(run.c.state == RunState.DONE, run.c.export_key.is_not(None))
    for (key,) in connection.execute(exports):
        yield CopiedObject(StoredObject(own_bucket, key, 0, ""), keeps_key=True)
    weights = {
        sha256
        for (spec,) in connection.execute(select(model.c.spec))
        for sha256 in ModelSpec.from_dict(spec).weights_sha256s
    }
    for sha256 in sorted(weights):
        yield CopiedObject(StoredObject(own_bucket, weights_key(sha256), 0, ""), keeps_key=True)


def repin_restored(connection: Connection, before: StoredObject, now: StoredObject, *, owned: bool | None) -> None:
    """Have the videos that were made from an object read from where it was restored.

    Args:
        owned: whether that is Poseline's own now; None where nothing changes.
    """
    values = {"bucket": now.bucket, "object_key": now.key, "etag": now.etag, "version_id": now.version_id}
    if owned is not None:
        values["owned"] = owned  # type: ignore[assignment]
    connection.execute(
        update(video)
        .where(
            video.c.bucket == before.bucket,
            video.c.object_key == before.key,
            video.c.etag == before.etag,
            video.c.version_id.is_not_distinct_from(before.version_id),
        )
        .values(**values)
    )


def mark_source_missing(connection: Connection, missing: StoredObject) -> None:
    """Note that an object was gone when the backup was made."""
    connection.execute(
        update(video)
        .where(
            video.c.bucket == missing.bucket,
            video.c.object_key == missing.key,
            video.c.etag == missing.etag,
            video.c.source_gone_at.is_(None),
        )
        .values(source_gone_at=func.clock_timestamp())
    )


def is_restored(connection: Connection) -> bool:
    """Whether the database has tables of Poseline."""
    from pipeline.db.migrate import current_revision  # noqa: PLC0415 - as above

    return current_revision(connection) is not None
