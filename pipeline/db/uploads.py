"""Uploads: videos whose bytes are being sent, and the removal of those that were never completed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, BigInteger, Connection, Text, Uuid, func, insert, literal, null, or_, select, update

from pipeline.core.object_keys import video_key
from pipeline.core.objects import StoredObject
from pipeline.core.states import RunState, VideoState
from pipeline.core.tags import Tags
from pipeline.db.leases import after
from pipeline.db.live_runs import is_live
from pipeline.db.tables import run, video
from pipeline.db.teams import ensure_team
from pipeline.db.transitions import move_to
from pipeline.errors import NotFound


@dataclass(frozen=True)
class NewVideo:
    """A video that is about to be uploaded or, with `source`, whose object is there already and stays its owner's."""

    team_id: UUID
    name: str
    sha256: str | None = None
    tags: Tags | None = None
    source: StoredObject | None = None


def insert_videos(connection: Connection, bucket: str, videos: Sequence[NewVideo]) -> list[tuple[UUID, str]]:
    """Insert videos; those that have a `source` are stored, and queued for ingest. Returns ids and object keys."""
    made, uploads, objects = [], [], []
    for new in videos:
        video_id, source = uuid4(), new.source
        key = video_key(new.team_id, video_id) if source is None else source.key
        made.append((video_id, key))
        row = {
            "id": video_id,
            "team_id": new.team_id,
            "name": new.name,
            "bucket": bucket,
            "object_key": key,
            "sha256": new.sha256,
            "tags": dict(new.tags or {}),
        }
        if source is None:
            uploads.append(row)
        else:
            pinned = {"bucket": source.bucket, "etag": source.etag, "version_id": source.version_id}
            objects.append({**row, **pinned, "size_bytes": source.size_bytes})
    # One statement for each row, whose text is the same for any number of them.
    if uploads:
        connection.execute(insert(video).values(state=VideoState.UPLOADING, owned=True), uploads)
    if objects:
        connection.execute(insert(video).values(state=VideoState.STORED, owned=False), objects)
    return made


def insert_video(
    connection: Connection,
    team_name: str,
    name: str,
    *,
    bucket: str,
    key: str | None = None,
    sha256: str | None = None,
) -> tuple[UUID, str]:
    """Insert a video that is being uploaded or, with `key`, one whose object exists already and stays its owner's.

    Returns its id and object key.
    """
    [(video_id, own_key)] = insert_videos(
        connection, bucket, [NewVideo(ensure_team(connection, team_name), name, sha256)]
    )
    if key is None:
        return video_id, own_key
    connection.execute(update(video).where(video.c.id == video_id).values(object_key=key, owned=False))
    return video_id, key


def insert_refused(
    connection: Connection, team_name: str, name: str, *, bucket: str, size_bytes: int, reason: str
) -> UUID:
    """Insert a rejected video for an upload that was refused before any of it was stored. Returns its id.

    The same refusal again gives the row of the one before, with the time of this one.
    """
    same = (
        select(video.c.id)
        .where(
            video.c.team_id == ensure_team(connection, team_name),
            video.c.name == name,
            video.c.state == VideoState.REJECTED,
            video.c.reason == reason,
            video.c.size_bytes == size_bytes,
            video.c.etag.is_(None),
            video.c.sha256.is_(None),
        )
        .order_by(video.c.created_at.desc())
        .limit(1)
    )
    renewed: UUID | None = connection.execute(
        update(video)
        .where(video.c.id == same.scalar_subquery())
        .values(created_at=func.clock_timestamp())
        .returning(video.c.id)
    ).scalar_one_or_none()
    if renewed is not None:
        return renewed
    video_id, _ = insert_video(connection, team_name, name, bucket=bucket)
    refused = move_to(VideoState.REJECTED, reason=reason, size_bytes=size_bytes)
    connection.execute(refused.where(video.c.id == video_id))
    return video_id


def add_name(connection: Connection, video_id: UUID, name: str) -> None:
    """Note that a video was uploaded under another name, too, by which it can be found from now on."""
    is_new = (video.c.name != name) & ~(func.coalesce(func.array_position(video.c.other_names, name), 0) > 0)
    connection.execute(
        update(video)
        .where(video.c.id == video_id, is_new)
        .values(other_names=func.array_append(video.c.other_names, name))
    )


def move_waiting_runs(connection: Connection, from_video_id: UUID, to_video_id: UUID) -> None:
    """Give the waiting runs of a duplicate upload to the original video, where it has no such run yet."""
    other = run.alias()
    stands = (
        select(other.c.id)
        .where(
            other.c.video_id == to_video_id,
            other.c.model_fingerprint == run.c.model_fingerprint,
            ~is_live(other),
            other.c.state.not_in([RunState.FAILED, RunState.CANCELLED]),
        )
        .exists()
    )
    connection.execute(
        update(run)
        .where(run.c.video_id == from_video_id, run.c.state == RunState.WAITING, ~stands)
        .values(video_id=to_video_id)
    )


def mark_stored(connection: Connection, video_id: UUID, source: StoredObject) -> None:
    """Mark an upload as complete, its object pinned.

    Raises:
        NotFound: it was removed meanwhile, because it took too long.
    """
    if not mark_all_stored(connection, {video_id: source}):
        raise upload_removed()


def upload_removed() -> NotFound:
    """The error for an upload that was removed before it was complete."""
    return NotFound(
        "the upload took too long or was erased, and was removed; upload it again, or raise POSELINE_UPLOAD_EXPIRY_S"
    )


def mark_all_stored(
    connection: Connection, stored: Mapping[UUID, StoredObject], hashes: Mapping[UUID, str] | None = None
) -> set[UUID]:
    """Mark uploads as complete, their objects pinned. Returns which: the others were removed meanwhile.

    Args:
        hashes: SHA-256 of those whose content was not known when they were inserted.
    """
    if not stored:
        return set()
    pinned = list(stored.values())
    given = func.unnest(
        literal(list(stored), ARRAY(Uuid)),
        literal([each.etag for each in pinned], ARRAY(Text)),
        literal([each.version_id for each in pinned], ARRAY(Text)),
        literal([each.size_bytes for each in pinned], ARRAY(BigInteger)),
        literal([(hashes or {}).get(video_id) for video_id in stored], ARRAY(Text)),
    ).table_valued("of", "etag", "version_id", "size_bytes", "sha256", name="given")
    given = given.render_derived()
    statement = (
        move_to(
            VideoState.STORED,
            etag=given.c.etag,
            version_id=given.c.version_id,
            size_bytes=given.c.size_bytes,
            sha256=func.coalesce(given.c.sha256, video.c.sha256),
        )
        .where(video.c.id == given.c.of, video.c.state == VideoState.UPLOADING)
        .returning(video.c.id)
    )
    return set(connection.execute(statement).scalars())


def repin(connection: Connection, video_id: UUID, source: StoredObject, *, owned: bool = True) -> bool:
    """Pin a video to another object with the same content: one that was uploaded again and is ours, or its owner's.

    Returns whether there still is such a video.
    """
    pinned = connection.execute(
        update(video)
        .where(video.c.id == video_id)
        .values(
            bucket=source.bucket,
            object_key=source.key,
            owned=owned,
            etag=source.etag,
            version_id=source.version_id,
            size_bytes=source.size_bytes,
            original_at=func.clock_timestamp(),
            original_removed_at=None,
            source_gone_at=null(),
        )
    )
    return pinned.rowcount == 1


def upload_exists(connection: Connection, video_id: UUID) -> bool:
    """Whether there is a video of that id, complete or not."""
    return connection.execute(select(video.c.id).where(video.c.id == video_id)).first() is not None


def lock_upload(connection: Connection, video_id: UUID) -> bool:
    """Lock an upload that is not complete. Returns False where it is complete or gone."""
    held = select(video.c.id).where(video.c.id == video_id, video.c.state == VideoState.UPLOADING).with_for_update()
    return connection.execute(held).first() is not None


def delete_upload(connection: Connection, video_id: UUID) -> None:
    """Delete the rows of an upload that failed."""
    connection.execute(run.delete().where(run.c.video_id == video_id, run.c.state == RunState.WAITING))
    connection.execute(video.delete().where(video.c.id == video_id, video.c.state == VideoState.UPLOADING))


def select_rejected_objects(connection: Connection, keep_s: float) -> list[tuple[UUID, str]]:
    """Rejected uploads whose object is ours, still stored, and was kept long enough: id and object key.

    The object of a duplicate upload is not kept.
    """
    rows = connection.execute(
        select(video.c.id, video.c.object_key).where(
            video.c.state == VideoState.REJECTED,
            video.c.owned,
            video.c.etag.is_not(None),
            or_(video.c.duplicate_of.is_not(None), video.c.not_before <= after(-keep_s)),
        )
    )
    return [(row.id, row.object_key) for row in rows]


def mark_object_gone(connection: Connection, video_id: UUID) -> None:
    """Note that the object of a rejected upload was removed."""
    rejected = (video.c.id == video_id, video.c.state == VideoState.REJECTED)
    connection.execute(update(video).where(*rejected).values(etag=None))
