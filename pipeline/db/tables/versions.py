"""Which run is current, and how runs differ."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from pipeline.db.tables.columns import metadata, timestamp

#: How a run differs from the one that was its video's current run when it was finished.
comparison = Table(
    "comparison",
    metadata,
    Column("run_id", Uuid, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("against_run_id", Uuid, ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    Column("figures", JSONB, nullable=False),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Index("comparison_against", "against_run_id"),
)

#: Which run became a video's current one or was kept back, when, by whom and why. `undoes` is the row that a rollback
#: took back.
promotion = Table(
    "promotion",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("video_id", Uuid, ForeignKey("video.id", ondelete="CASCADE"), nullable=False),
    Column("run_id", Uuid, ForeignKey("run.id", ondelete="SET NULL")),
    Column("previous_run_id", Uuid, ForeignKey("run.id", ondelete="SET NULL")),
    Column("promoted", Boolean, nullable=False, server_default=text("true")),
    Column("undoes", BigInteger),
    Column("at", timestamp(), nullable=False, server_default=func.clock_timestamp()),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("promotion_video", "video_id", "id"),
    Index("promotion_run", "run_id"),
    Index("promotion_previous_run", "previous_run_id"),
)
