"""Uploads in parts: whose they are, which of their parts are stored, and when something last happened to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Row, Select, delete, func, literal, null, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.states import VideoState
from pipeline.core.upload_parts import number_of_parts
from pipeline.db.leases import after
from pipeline.db.tables import run, upload, upload_part, video
from pipeline.errors import NotFound


@dataclass(frozen=True)
class UploadRow:
    """An upload, and the video that it becomes, whose id it has.

    Args:
        modified_ms: when the file was last written to, by its owner's clock, in ms since 1970.
        first_sha256: of the file's first part, as its owner said.
        store_upload_id: by which the object store knows it; None before it does.
        actor: who began it.
    """

    id: UUID
    team_id: UUID
    name: str
    key: str
    size_bytes: int
    modified_ms: int | None
    first_sha256: str | None
    part_bytes: int
    store_upload_id: str | None
    model_fingerprint: str | None
    actor: str
    account_id: UUID | None
    begun_at: datetime
    last_at: datetime
    state: VideoState

    @property
    def parts(self) -> int:
        """How many parts it has."""
        return number_of_parts(self.size_bytes, self.part_bytes)

    @property
    def is_open(self) -> bool:
        """Whether it is not complete."""
        return self.state is VideoState.UPLOADING


@dataclass(frozen=True)
class PartRow:
    """A part that is stored."""

    number: int
    size_bytes: int
    sha256: str
    etag: str


@dataclass(frozen=True)
class NewUpload:
    """What is kept of an upload when it begins; see `UploadRow`."""

    size_bytes: int
    part_bytes: int
    actor: str
    account_id: UUID | None = None
    modified_ms: int | None = None
    first_sha256: str | None = None
    model_fingerprint: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Sent:
    """How much of an upload is stored."""

    parts: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class Page:
    """Some uploads, the newest first, with what is stored of each."""

    rows: Sequence[UploadRow]
    sent: dict[UUID, Sent] = field(default_factory=dict)


def _uploads() -> Select[tuple[object, ...]]:
    return select(upload, video.c.name, video.c.object_key, video.c.state).join(video, video.c.id == upload.c.video_id)


def insert_upload(connection: Connection, video_id: UUID, team_id: UUID, new: NewUpload) -> None:
    """Begin the upload of a video that was just inserted."""
    connection.execute(insert(upload).values(video_id=video_id, team_id=team_id, **new.__dict__))


def select_upload(connection: Connection, upload_id: UUID, team_id: UUID | None) -> UploadRow:
    """One upload, of that team only unless it is None.

    Raises:
        NotFound: there is none, or it is another team's.
    """
    statement = _uploads().where(upload.c.video_id == upload_id)
    if team_id is not None:
        statement = statement.where(upload.c.team_id == team_id)
    row = connection.execute(statement).first()
    if row is None:
        raise NotFound("there is no such upload here; it took too long, or was removed: begin it again")
    return _row(row)


def find_by_key(connection: Connection, team_id: UUID, idempotency_key: str) -> UploadRow | None:
    """The upload that was begun with this idempotency key."""
    found = _uploads().where(upload.c.team_id == team_id, upload.c.idempotency_key == idempotency_key)
    row = connection.execute(found).first()
    return None if row is None else _row(row)


def find_same_file(
    connection: Connection, team_id: UUID, name: str, size_bytes: int, modified_ms: int | None
) -> list[UploadRow]:
    """The team's open uploads of a file of that name, size and time, the last used first."""
    same = (
        _uploads()
        .where(upload.c.team_id == team_id, upload.c.size_bytes == size_bytes, video.c.name == name)
        .where(upload.c.modified_ms.is_not_distinct_from(modified_ms), video.c.state == VideoState.UPLOADING)
        .order_by(upload.c.last_at.desc())
    )
    return [_row(row) for row in connection.execute(same)]


def select_open_uploads(
    connection: Connection, team_id: UUID, limit: int, after_: tuple[datetime, UUID] | None = None
) -> Page:
    """The team's open uploads, the newest first, after the one that began then with that id."""
    statement = _uploads().where(upload.c.team_id == team_id, video.c.state == VideoState.UPLOADING)
    if after_ is not None:
        place = tuple_(upload.c.begun_at, upload.c.video_id)
        statement = statement.where(place < tuple_(literal(after_[0]), literal(after_[1])))
    statement = statement.order_by(upload.c.begun_at.desc(), upload.c.video_id.desc()).limit(limit)
    rows = [_row(row) for row in connection.execute(statement)]
    of = upload_part.c
    sums = select(of.video_id, func.count(), func.sum(of.size_bytes)).where(of.video_id.in_([row.id for row in rows]))
    sent = {row[0]: Sent(row[1], int(row[2])) for row in connection.execute(sums.group_by(of.video_id))}
    return Page(rows, sent)


def select_parts(connection: Connection, upload_id: UUID) -> list[PartRow]:
    """The parts that count, in order."""
    of = upload_part.c
    rows = connection.execute(
        select(of.number, of.size_bytes, of.sha256, of.etag).where(of.video_id == upload_id).order_by(of.number)
    )
    return [PartRow(*row) for row in rows]


def put_part(connection: Connection, upload_id: UUID, store_upload_id: str, part: PartRow) -> bool:
    """Note that a part is stored; the last of each number counts. Returns whether the upload still is the one that the
    store knows by that id."""
    touched = connection.execute(
        update(upload)
        .where(upload.c.video_id == upload_id, upload.c.store_upload_id == store_upload_id)
        .values(last_at=func.clock_timestamp())
    )
    if not touched.rowcount:
        return False
    put = insert(upload_part).values(video_id=upload_id, **part.__dict__)
    values = {"size_bytes": part.size_bytes, "sha256": part.sha256, "etag": part.etag}
    connection.execute(put.on_conflict_do_update(index_elements=["video_id", "number"], set_=values))
    return True


def touch(connection: Connection, upload_id: UUID) -> None:
    """Note that somebody goes on with an upload."""
    connection.execute(update(upload).where(upload.c.video_id == upload_id).values(last_at=func.clock_timestamp()))


def set_store_upload(connection: Connection, upload_id: UUID, store_upload_id: str) -> bool:
    """Note by which id the object store knows an upload. Returns False where it has one, or is gone."""
    unset = (upload.c.video_id == upload_id, upload.c.store_upload_id.is_(None))
    return bool(connection.execute(update(upload).where(*unset).values(store_upload_id=store_upload_id)).rowcount)


def begin_anew(connection: Connection, upload_id: UUID, store_upload_id: str | None) -> None:
    """Forget the parts of an upload that the object store no longer knows by that id."""
    known = (upload.c.video_id == upload_id, upload.c.store_upload_id.is_not_distinct_from(store_upload_id))
    if connection.execute(update(upload).where(*known).values(store_upload_id=null())).rowcount:
        connection.execute(delete(upload_part).where(upload_part.c.video_id == upload_id))


def delete_parts_of_complete(connection: Connection, upload_id: UUID) -> bool:
    """Delete the parts of an upload if it is complete. Returns whether there were any: who deletes them has completed
    it."""
    complete = select(video.c.id).where(video.c.id == upload_part.c.video_id, video.c.state != VideoState.UPLOADING)
    parts = delete(upload_part).where(upload_part.c.video_id == upload_id, complete.exists())
    return bool(connection.execute(parts).rowcount)


def select_untidy(connection: Connection, limit: int) -> list[UUID]:
    """Complete uploads that still have parts: who completed them was killed."""
    rows = connection.execute(
        select(upload_part.c.video_id)
        .join(video, video.c.id == upload_part.c.video_id)
        .where(video.c.state != VideoState.UPLOADING)
        .distinct()
        .limit(limit)
    )
    return list(rows.scalars())


def is_idle(connection: Connection, upload_id: UUID, idle_s: float) -> bool:
    """Whether nothing happened to an upload for so long, whatever kind of upload it is."""
    return connection.execute(_idle(idle_s).where(video.c.id == upload_id)).first() is not None


def select_idle(connection: Connection, idle_s: float) -> list[tuple[UUID, str]]:
    """Uploads that are not complete, and to which nothing happened for so long: id and object key."""
    return [(row.id, row.object_key) for row in connection.execute(_idle(idle_s))]


def _idle(idle_s: float) -> Select[tuple[UUID, str]]:
    last = func.coalesce(upload.c.last_at, video.c.created_at)
    return (
        select(video.c.id, video.c.object_key)
        .outerjoin(upload, upload.c.video_id == video.c.id)
        .where(video.c.state == VideoState.UPLOADING, last < after(-idle_s))
    )


def select_sent(connection: Connection, idle_s: float, limit: int) -> list[UUID]:
    """Uploads all of whose parts are stored, and which nobody completed for so long; the oldest first."""
    sent = (
        select(func.sum(upload_part.c.size_bytes)).where(upload_part.c.video_id == upload.c.video_id).scalar_subquery()
    )
    rows = connection.execute(
        select(upload.c.video_id)
        .join(video, video.c.id == upload.c.video_id)
        .where(video.c.state == VideoState.UPLOADING, upload.c.last_at < after(-idle_s), sent == upload.c.size_bytes)
        .order_by(upload.c.last_at)
        .limit(limit)
    )
    return list(rows.scalars())


def find_run(connection: Connection, video_id: UUID, fingerprint: str | None) -> UUID | None:
    """The newest run of a video, or of the one that it is a duplicate of, by one model."""
    original = select(func.coalesce(video.c.duplicate_of, video.c.id)).where(video.c.id == video_id).scalar_subquery()
    wanted = (run.c.video_id == original, run.c.model_fingerprint == fingerprint)
    return connection.execute(select(run.c.id).where(*wanted).order_by(run.c.created_at.desc()).limit(1)).scalar()


def _row(row: Row[tuple[object, ...]]) -> UploadRow:
    return UploadRow(
        id=row.video_id,
        team_id=row.team_id,
        name=row.name,
        key=row.object_key,
        size_bytes=row.size_bytes,
        modified_ms=row.modified_ms,
        first_sha256=row.first_sha256,
        part_bytes=row.part_bytes,
        store_upload_id=row.store_upload_id,
        model_fingerprint=row.model_fingerprint,
        actor=row.actor,
        account_id=row.account_id,
        begun_at=row.begun_at,
        last_at=row.last_at,
        state=VideoState(row.state),
    )
