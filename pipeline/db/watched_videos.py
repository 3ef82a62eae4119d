"""The videos that are read in place, by the objects that they were made from: compared with what a bucket holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Row,
    Text,
    collate,
    false,
    func,
    literal,
    not_,
    null,
    select,
    true,
    union_all,
    update,
)

from pipeline.core.objects import StoredObject
from pipeline.core.states import VideoState
from pipeline.core.watched_keys import KeyOrder, order_key
from pipeline.db.engine import advisory_key
from pipeline.db.tables import video

#: Sorts after every key.
_LAST = "\U0010ffff"
_READ_IN_PLACE = not_(video.c.owned)
_COLUMNS = (
    video.c.id,
    video.c.bucket,
    video.c.team_id,
    video.c.object_key,
    video.c.etag,
    video.c.version_id,
    video.c.size_bytes,
    video.c.state,
    video.c.reason,
    video.c.duplicate_of,
    video.c.source_gone_at,
)


@dataclass(frozen=True)
class KnownObject:
    """A video by the object that it was made from.

    Args:
        is_gone: the object was not there when it was last looked for.
    """

    video_id: UUID
    team_id: UUID
    pinned: StoredObject
    state: VideoState
    reason: str | None
    duplicate_of: UUID | None
    is_gone: bool

    @property
    def needs_source(self) -> bool:
        """Whether it is a video that is read from this object."""
        return self.state is not VideoState.REJECTED


@dataclass(frozen=True)
class Between:
    """The part of a listing between two keys.

    Args:
        after, last: exclusive and inclusive; `after` is empty at the beginning, `last` None at the end.
    """

    order: KeyOrder
    after: str
    last: str | None


def compare(
    connection: Connection, bucket: str, prefix: str, keys: Sequence[str], between: Between | None, most_missing: int
) -> tuple[list[KnownObject], list[KnownObject]]:
    """What is known of a page of a listing: the videos of these keys, and videos of others between its ends that were
    there when they were last looked for, the latter `most_missing` at most."""
    # By the indexes, whatever is known of the table: statistics lag behind where a hundred thousand come in an hour.
    connection.execute(select(*(func.set_config(f"enable_{scan}", "off", True) for scan in ("seqscan", "bitmapscan"))))
    listed = video.c.object_key == func.any(literal(list(keys), ARRAY(Text)))
    known = select(*_COLUMNS, true().label("listed")).where(video.c.bucket == bucket, _READ_IN_PLACE, listed)
    if between is not None and between.order != "none":
        missing = (
            select(*_COLUMNS, false().label("listed"))
            .where(
                video.c.bucket == bucket,
                _READ_IN_PLACE,
                *_in_range(prefix, between),
                not_(listed),
                video.c.source_gone_at.is_(None),
                video.c.state.in_([VideoState.STORED, VideoState.READY]),
            )
            .limit(most_missing)
        )
        rows = connection.execute(union_all(known, missing)).all()
    else:
        rows = connection.execute(known).all()
    return [_known(row) for row in rows if row.listed], [_known(row) for row in rows if not row.listed]


def take_turns(connection: Connection, bucket: str) -> None:
    """Let no other transaction take in objects of this bucket until this one ends."""
    connection.execute(select(func.pg_advisory_xact_lock(advisory_key(f"watch {bucket}"))))


def mark_source_gone(connection: Connection, gone: KnownObject) -> None:
    """Note that the object of a video is gone; nothing where the video has another one meanwhile."""
    same = (video.c.id == gone.video_id, video.c.object_key == gone.pinned.key, video.c.etag == gone.pinned.etag)
    connection.execute(
        update(video).where(*same, video.c.source_gone_at.is_(None)).values(source_gone_at=func.clock_timestamp())
    )


def mark_source_back(connection: Connection, video_ids: Collection[UUID]) -> None:
    """Note that the objects of videos are there again."""
    if video_ids:
        connection.execute(update(video).where(video.c.id.in_(video_ids)).values(source_gone_at=null()))


def select_other_sources(connection: Connection, video_id: UUID) -> list[StoredObject]:
    """Objects with the same content as a video, by the duplicates that were found, the newest first."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(video.c.duplicate_of == video_id, _READ_IN_PLACE, video.c.etag.is_not(None))
        .order_by(video.c.created_at.desc())
    )
    return [StoredObject(row.bucket, row.object_key, row.size_bytes, row.etag, row.version_id) for row in rows]


def select_gone(connection: Connection, bucket: str, prefix: str, most: int) -> tuple[int, list[str]]:
    """How many videos below a prefix have lost their object, and the keys of some."""
    below = (
        video.c.bucket == bucket,
        func.starts_with(video.c.object_key, prefix),
        video.c.source_gone_at.is_not(None),
    )
    count: int = connection.execute(select(func.count()).where(*below)).scalar_one()
    some = select(video.c.object_key).where(*below).order_by(video.c.source_gone_at.desc()).limit(most)
    return count, list(connection.execute(some).scalars()) if count else []


def _in_range(prefix: str, between: Between) -> tuple[ColumnElement[bool], ...]:
    """SQL: the key is in that part of a listing, by an index that has the order of the store."""
    by_folder = between.order == "folders"
    column = collate(func.replace(video.c.object_key, "/", func.chr(1)) if by_folder else video.c.object_key, "C")

    def bound(key: str) -> str:
        return order_key(key, between.order).decode()

    low = column > bound(between.after) if between.after else column >= bound(prefix)
    high = column <= (bound(between.last) if between.last is not None else bound(prefix) + _LAST)
    return low, high, func.starts_with(video.c.object_key, prefix)


def _known(row: Row[Any]) -> KnownObject:
    return KnownObject(
        row.id,
        row.team_id,
        StoredObject(row.bucket, row.object_key, row.size_bytes or 0, row.etag or "", row.version_id),
        VideoState(row.state),
        row.reason,
        row.duplicate_of,
        row.source_gone_at is not None,
    )
