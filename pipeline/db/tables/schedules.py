"""What is analysed again, when, and each night of it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pipeline.db.tables.columns import metadata, timestamp

#: What is to be analysed again, when, by which model, and how much of it a night.
schedule = Table(
    "schedule",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("name", Text, nullable=False, unique=True),
    Column("team_id", Uuid, ForeignKey("team.id")),
    Column("cron", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("window_s", Integer),
    Column("selection", JSONB, nullable=False, server_default=text("'[]'")),
    Column("model_fingerprint", Text, ForeignKey("model.fingerprint"), nullable=False),
    Column("budget_frames", BigInteger),
    Column("budget_video_s", Float),
    Column("promotion", Text, nullable=False, server_default="automatic"),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("next_slot_at", timestamp()),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Index("schedule_due", "next_slot_at", postgresql_where=text("enabled")),
)

#: One night's work of a schedule, or what was asked for by hand: the videos that are analysed again.
pass_ = Table(
    "pass",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("schedule_id", Uuid, ForeignKey("schedule.id", ondelete="SET NULL")),
    Column("schedule_name", Text),
    Column("name", Text, nullable=False),
    Column("slot_at", timestamp()),
    Column("slots_missed", Integer, nullable=False, server_default="0"),
    Column("team_id", Uuid, ForeignKey("team.id")),
    Column("selection", JSONB, nullable=False, server_default=text("'[]'")),
    Column("model_fingerprint", Text, ForeignKey("model.fingerprint"), nullable=False),
    Column("budget_frames", BigInteger),
    Column("budget_video_s", Float),
    Column("promotion", Text, nullable=False),
    Column("video_ids", ARRAY(Uuid)),
    Column("opened_at", timestamp(), nullable=False),
    Column("closes_at", timestamp()),
    Column("closed_at", timestamp()),
    Column("ended", Text),
    Column("no_more", Text),
    Column("after_created_at", timestamp()),
    Column("after_id", Uuid),
    Column("frames_given", BigInteger, nullable=False, server_default="0"),
    Column("video_s_given", Float, nullable=False, server_default="0"),
    Column("result", JSONB),
    Index("pass_slot", "schedule_id", "slot_at", unique=True),
    Index("pass_schedule_name", "schedule_name", "opened_at"),
    Index("pass_open", "opened_at", postgresql_where=text("closed_at is null")),
)
