"""What is made of videos and can be made again."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, Uuid, func, text

from pipeline.db.tables.columns import lease_columns, metadata, timestamp

#: A copy of a video that every browser plays, with the same frames at the same times. See `db.proxies`.
proxy = Table(
    "proxy",
    metadata,
    Column("video_id", Uuid, ForeignKey("video.id", ondelete="CASCADE"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("requested_at", timestamp(), nullable=False, server_default=func.now()),
    Column("made_at", timestamp()),
    Column("object_key", Text),
    Column("etag", Text),
    Column("version_id", Text),
    Column("size_bytes", BigInteger),
    Column("frames_done", Integer, nullable=False, server_default="0"),
    Column("reason", Text),
    *lease_columns(),
    Index("proxy_wanted", "requested_at", postgresql_where=text("state = 'wanted'")),
    Index("proxy_made", "made_at", postgresql_where=text("state = 'ready'")),
)
