"""Live processes, and the sessions of cameras that send to them."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    Boolean,
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
from sqlalchemy.dialects.postgresql import JSONB

from pipeline.db.tables.columns import metadata, timestamp

#: A process that takes live sessions; it reports every two seconds, and goes with its end.
live_process = Table(
    "live_process",
    metadata,
    Column("name", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("call_ms", REAL, nullable=False),
    Column("p95_ms", REAL),
    Column("foretold_ms", REAL, nullable=False),
    Column("room", Text, nullable=False),
    Column("sessions", Integer, nullable=False, server_default="0"),
    Column("started_at", timestamp(), nullable=False, server_default=func.now()),
    Column("heartbeat_at", timestamp(), nullable=False, server_default=func.now()),
    CheckConstraint("room IN ('full', 'hybrid', 'preview')"),
)

#: A camera's session; where it is kept, `video_id` has its pictures and poses. Open while `ended_at` is null and it was
#: seen lately.
live_session = Table(
    "live_session",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("team_id", Uuid, ForeignKey("team.id", ondelete="CASCADE"), nullable=False),
    Column("account_id", Uuid, ForeignKey("account.id", ondelete="SET NULL")),
    Column("api_key_id", Uuid, ForeignKey("api_key.id", ondelete="SET NULL")),
    Column("process", Text, nullable=False, server_default=""),
    Column("ticket_sha256", Text),
    Column("name", Text, nullable=False, server_default=""),
    Column("mode", Text, nullable=False),
    Column("begun_at", timestamp(), nullable=False, server_default=func.now()),
    Column("last_seen_at", timestamp(), nullable=False, server_default=func.now()),
    Column("ended_at", timestamp()),
    Column("reason", Text),
    Column("counts", JSONB),
    Column("keep", Boolean, nullable=False, server_default=text("false")),
    Column("video_id", Uuid, ForeignKey("video.id", ondelete="SET NULL")),
    Column("not_kept", Text),
    CheckConstraint("mode IN ('full', 'hybrid')"),
    UniqueConstraint("ticket_sha256"),
    Index("live_session_team", "team_id", "begun_at"),
    Index("live_session_open", "team_id", "last_seen_at", postgresql_where=text("ended_at is null")),
    Index("live_session_ended", "ended_at", postgresql_where=text("ended_at is not null")),
    Index("live_session_account", "account_id", postgresql_where=text("account_id is not null")),
    Index("live_session_key", "api_key_id", postgresql_where=text("api_key_id is not null")),
    Index("live_session_video", "video_id", postgresql_where=text("video_id is not null")),
)
