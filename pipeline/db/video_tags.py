"""Tags of videos: locked, written, and searched for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, bindparam, select, update
from sqlalchemy.dialects.postgresql import JSONB

from pipeline.core.tags import Tags
from pipeline.db.tables import video


def lock_tags(connection: Connection, video_ids: Collection[UUID]) -> dict[UUID, dict[str, str]]:
    """The tags of these videos, locked in one order so that two who change the same do not wait for each other."""
    rows = connection.execute(
        select(video.c.id, video.c.tags)
        .where(video.c.id.in_(video_ids))
        .order_by(video.c.id)
        .with_for_update(key_share=True)
    )
    return {row.id: dict(row.tags) for row in rows}


def write_tags(connection: Connection, tags_by_video: Mapping[UUID, Tags]) -> None:
    """Write all tags of these videos anew."""
    if tags_by_video:
        statement = update(video).where(video.c.id == bindparam("of")).values(tags=bindparam("now", type_=JSONB))
        connection.execute(statement, [{"of": key, "now": dict(tags)} for key, tags in tags_by_video.items()])


def has_tags(tags: Tags) -> ColumnElement[bool]:
    """Whether a video has all these tags."""
    wanted: ColumnElement[Any] = bindparam(None, dict(tags), type_=JSONB)
    return video.c.tags.contains(wanted)
