"""Buckets that are watched for videos."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from pipeline.db.tables.columns import metadata, timestamp

#: A bucket's prefix under which videos are looked for, and how far its listing is. See `db.watches`.
watch = Table(
    "watch",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("bucket", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("pattern", Text, nullable=False),
    Column("team_id", Uuid, ForeignKey("team.id", ondelete="CASCADE")),
    Column("model_fingerprint", Text, ForeignKey("model.fingerprint"), nullable=False),
    Column("settle_s", Float, nullable=False, server_default="60"),
    Column("every_s", Float, nullable=False, server_default="60"),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("key_order", Text, nullable=False, server_default="bytes"),
    Column("after_key", Text, nullable=False, server_default=""),
    Column("round_started_at", timestamp()),
    Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("listed", JSONB),
    Column("listed_at", timestamp()),
    Column("next_at", timestamp(), nullable=False, server_default=func.now()),
    Column("worked_at", timestamp(), nullable=False, server_default=func.now()),
    Column("lease_token", Uuid),
    Column("lease_until", timestamp()),
    Column("error", Text),
    Column("error_at", timestamp()),
    UniqueConstraint("bucket", "prefix", "pattern"),
)

#: Keys to look at before the listing comes to them.
watch_hint = Table(
    "watch_hint",
    metadata,
    Column("watch_id", Uuid, ForeignKey("watch.id", ondelete="CASCADE"), primary_key=True),
    Column("object_key", Text, primary_key=True),
    Column("look_at", timestamp(), nullable=False, server_default=func.now()),
    Index("watch_hint_due", "watch_id", "look_at"),
)
