"""Uploads in parts, over the network, that can be broken off and resumed."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, Uuid, func

from pipeline.db.tables.columns import metadata, timestamp

#: How a video comes in, or came in; its parts are there until it is complete. See `db.part_uploads`.
upload = Table(
    "upload",
    metadata,
    Column("video_id", Uuid, ForeignKey("video.id", ondelete="CASCADE"), primary_key=True),
    Column("team_id", Uuid, ForeignKey("team.id", ondelete="CASCADE"), nullable=False),
    Column("account_id", Uuid, ForeignKey("account.id", ondelete="SET NULL")),
    Column("actor", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("modified_ms", BigInteger),
    Column("first_sha256", Text),
    Column("part_bytes", BigInteger, nullable=False),
    Column("store_upload_id", Text),
    Column("model_fingerprint", Text, ForeignKey("model.fingerprint")),
    Column("idempotency_key", Text),
    Column("begun_at", timestamp(), nullable=False, server_default=func.now()),
    Column("last_at", timestamp(), nullable=False, server_default=func.now()),
    CheckConstraint("size_bytes > 0 AND part_bytes > 0"),
    Index("upload_team", "team_id", "size_bytes"),
    Index("upload_idempotency", "team_id", "idempotency_key", unique=True),
    Index("upload_account", "account_id"),
)

#: The part of each number that counts, whatever the object store has of it.
upload_part = Table(
    "upload_part",
    metadata,
    Column("video_id", Uuid, ForeignKey("upload.video_id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("stored_at", timestamp(), nullable=False, server_default=func.now()),
)
