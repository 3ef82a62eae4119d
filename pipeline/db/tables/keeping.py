"""How long what is kept, and what was erased."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from pipeline.db.tables.columns import metadata, timestamp

#: Runs that were deleted, and how far their frames have been.
frame_removal = Table(
    "frame_removal",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("requested_at", timestamp(), nullable=False, server_default=func.clock_timestamp()),
    Column("next_frame", Integer, nullable=False, server_default="0"),
    Column("last_frame", Integer),
    Column("removed", BigInteger, nullable=False, server_default="0"),
    Index("frame_removal_order", "requested_at", "run_id"),
)

#: How many days a team keeps what; what is not named is kept for ever.
retention = Table(
    "retention",
    metadata,
    Column("team_id", Uuid, ForeignKey("team.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("days", Integer, nullable=False),
    Column("next_at", timestamp(), nullable=False, server_default=func.now()),
    Index("retention_due", "next_at"),
)

#: What was erased for good, and the receipt of it.
erasure = Table(
    "erasure",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("scope", Text, nullable=False),
    Column("asked_sha256", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("requested_at", timestamp(), nullable=False, server_default=func.now()),
    Column("finished_at", timestamp()),
    Column("receipt", JSONB, nullable=False, server_default=text("'{}'")),
    Index("erasure_open", "requested_at", postgresql_where=text("finished_at is null")),
)

#: What an erasure has to do, and what it found of each; `look_at`: when to look whether it has come back.
erasure_item = Table(
    "erasure_item",
    metadata,
    Column("erasure_id", Uuid, ForeignKey("erasure.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("bucket", Text, primary_key=True, server_default=""),
    Column("found", JSONB),
    Column("done_at", timestamp()),
    Column("look_at", timestamp()),
    Index("erasure_item_open", "erasure_id", "kind", "key", postgresql_where=text("done_at is null")),
    Index("erasure_item_run", "key", postgresql_where=text("kind = 'run' and done_at is null")),
    Index("erasure_item_look", "look_at", postgresql_where=text("look_at is not null")),
)

#: Objects of users, by SHA-256, whose videos were erased: no watch takes them in again.
erased_source = Table("erased_source", metadata, Column("sha256", Text, primary_key=True))
