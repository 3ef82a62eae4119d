"""Webhooks and what was told to them."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from pipeline.db.tables.columns import metadata, timestamp

#: An address that is told when a team's runs end.
webhook = Table(
    "webhook",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("team_id", Uuid, ForeignKey("team.id", ondelete="CASCADE"), nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("created_by", Uuid, ForeignKey("account.id", ondelete="SET NULL")),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("seen_until", timestamp(), nullable=False, server_default=func.now()),
    Index("webhook_team", "team_id", "created_at"),
)

#: One end of a run that a webhook is told; `next_at` is null once it was, or was given up.
webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("webhook_id", Uuid, ForeignKey("webhook.id", ondelete="CASCADE"), nullable=False),
    Column("run_id", Uuid, ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    Column("event", Text, nullable=False),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("next_at", timestamp(), server_default=func.now()),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("delivered_at", timestamp()),
    Column("answer", Text),
    UniqueConstraint("webhook_id", "run_id", "event"),
    CheckConstraint("event IN ('run.done', 'run.failed')"),
    Index("webhook_delivery_listed", "webhook_id", "created_at", "id"),
    Index("webhook_delivery_due", "next_at", postgresql_where=text("next_at is not null")),
    Index("webhook_delivery_run", "run_id"),
)
