"""Teams, videos, runs, chunks and frames. The README draws their states."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pipeline.db.tables.columns import lease_columns, metadata, timestamp

#: Holds that a team has each content once.
CONTENT_INDEX = "video_content"

team = Table(
    "team",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("name", Text, nullable=False, unique=True),
    Column("weight", Float, nullable=False, server_default="1"),
    Column("limits", JSONB, nullable=False, server_default=text("'{}'")),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("paused_at", timestamp()),
    Column("max_slots", Integer),
    Column("erasure_id", Uuid, ForeignKey("erasure.id")),
    Column("quota_bytes", BigInteger),
)

#: The queue's lanes; those of a lower rank come first, and each keeps its share of the chunks sent.
lane = Table(
    "lane",
    metadata,
    Column("name", Text, primary_key=True),
    Column("rank", SmallInteger, nullable=False, unique=True),
    Column("share", REAL, nullable=False),
    Column("paused_at", timestamp()),
)

model = Table(
    "model",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("spec", JSONB, nullable=False),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("precision", Text, Computed("coalesce(spec ->> 'precision', 'fp32')", persisted=True), nullable=False),
)

video = Table(
    "video",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("team_id", Uuid, ForeignKey("team.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("other_names", ARRAY(Text), nullable=False, server_default="{}"),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("bucket", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("owned", Boolean, nullable=False),
    Column("etag", Text),
    Column("version_id", Text),
    Column("size_bytes", BigInteger),
    Column("sha256", Text),
    Column("duplicate_of", Uuid, ForeignKey("video.id")),
    Column("container", Text),
    Column("codec", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("rotation_deg", Integer),
    Column("time_base_num", BigInteger),
    Column("time_base_den", BigInteger),
    Column("frames", Integer),
    Column("first_pts", BigInteger),
    Column("last_pts", BigInteger),
    Column("frame_index", LargeBinary),
    Column("notes", JSONB, nullable=False, server_default=text("'[]'")),
    Column("tags", JSONB, nullable=False, server_default=text("'{}'")),
    Column("current_run_id", Uuid, ForeignKey("run.id", name="video_current_run", use_alter=True)),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    *lease_columns(),
    Column("source_gone_at", timestamp()),
    Column("original_at", timestamp(), nullable=False, server_default=func.now()),
    Column("original_removed_at", timestamp()),
    Column("changed_at", timestamp(), nullable=False, server_default=func.now()),
    Index(CONTENT_INDEX, "team_id", "sha256", unique=True, postgresql_where=text("state = 'ready'")),
    Index("video_hash", "team_id", "sha256"),
    Index("video_current", "current_run_id"),
    Index("video_object", "object_key", "team_id"),
    Index("video_open", "state", postgresql_where=text("state in ('uploading', 'stored')")),
    Index("video_age", "created_at", "id", postgresql_where=text("state = 'ready'")),
    Index("video_tags", "tags", postgresql_using="gin", postgresql_ops={"tags": "jsonb_path_ops"}),
    Index(
        "video_queue", "team_id", "created_at", "id", postgresql_where=text("state = 'stored' and queued_at is null")
    ),
    Index("video_in_flight", "team_id", postgresql_where=text("state = 'stored' and queued_at is not null")),
    Index("video_rejected", "not_before", postgresql_where=text("state = 'rejected' and owned and etag is not null")),
    # Both in the order of bytes (COLLATE "C"), as object stores list keys; the second where a folder comes as a whole.
    Index("video_source", "bucket", "object_key", postgresql_where=text("not owned")),
    Index(
        "video_source_by_folder",
        "bucket",
        text("replace(object_key, '/', chr(1))"),
        postgresql_where=text("not owned"),
    ),
    Index("video_source_gone", "bucket", "object_key", postgresql_where=text("source_gone_at is not null")),
    Index("video_duplicates", "duplicate_of", postgresql_where=text("duplicate_of is not null")),
    Index(
        *("video_original", "team_id", "original_at"),
        postgresql_where=text("owned and state = 'ready' and original_removed_at is null"),
    ),
    Index("video_listed", "team_id", "created_at", "id", postgresql_where=text("duplicate_of is null")),
    Index("video_changes", "team_id", "changed_at"),
)

run = Table(
    "run",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("video_id", Uuid, ForeignKey("video.id"), nullable=False),
    Column("model_fingerprint", Text, ForeignKey("model.fingerprint"), nullable=False),
    Column("params", JSONB, nullable=False, server_default=text("'{}'")),
    Column("team_id", Uuid, ForeignKey("team.id"), nullable=False),
    Column("precision", Text, nullable=False),
    Column("lane", Text, ForeignKey("lane.name", name="run_lane"), nullable=False, server_default="fresh"),
    Column("rank", SmallInteger, nullable=False, server_default="1"),
    Column("deadline", timestamp()),
    Column("due_at", timestamp(), nullable=False, server_default=func.now()),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("chunks_total", Integer),
    Column("chunks_pending", Integer),
    Column("frames_to_decode", Integer),
    Column("export_key", Text),
    Column("summary", JSONB),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("started_at", timestamp()),
    Column("finished_at", timestamp()),
    *lease_columns(),
    Column("pass_id", Uuid, ForeignKey("pass.id")),
    Column("held", Boolean, nullable=False, server_default=text("false")),
    Column("chunk_limit", Integer),
    Column("promotion", Text, nullable=False, server_default="automatic"),
    Column("export_removed_at", timestamp()),
    Column("not_current_since", timestamp()),
    Column("changed_at", timestamp(), nullable=False, server_default=func.now()),
    Index("run_video", "video_id"),
    Index("run_listed", "team_id", "created_at", "id"),
    Index("run_changes", "team_id", "changed_at"),
    Index("run_under_way", "team_id", postgresql_where=text("state in ('running', 'finishing')")),
    Index(
        *("run_export", "team_id", "finished_at"),
        postgresql_where=text("state = 'done' and export_removed_at is null"),
    ),
    Index(
        *("run_not_current", "team_id", "not_current_since"),
        postgresql_where=text("not_current_since is not null"),
    ),
    Index(
        *("run_without_results", "team_id", "finished_at"),
        postgresql_where=text("state in ('failed', 'cancelled')"),
    ),
    Index("run_pass", "pass_id", postgresql_where=text("pass_id is not null")),
    Index("run_held", "pass_id", postgresql_where=text("held")),
    Index(
        "run_orphaned_export",
        "id",
        postgresql_where=text("export_key is not null and state in ('failed', 'cancelled')"),
    ),
    # A failed or cancelled run does not prevent the next one.
    Index(
        "run_identity",
        "video_id",
        "model_fingerprint",
        "params",
        unique=True,
        postgresql_where=text("state not in ('failed', 'cancelled')"),
    ),
    Index("run_open", "state", "id", postgresql_where=text("state in ('waiting', 'queued', 'running', 'finishing')")),
    Index(
        "run_queue",
        *("precision", "lane", "team_id", "rank", "due_at", "id"),
        postgresql_where=text("state in ('queued', 'running') and not held"),
    ),
    Index(
        "run_deadline",
        "deadline",
        postgresql_where=text("deadline is not null and rank > 0 and state in ('waiting', 'queued', 'running')"),
    ),
)

#: Runs that were asked for with a key, so that the same question again has the same answer.
run_request = Table(
    "run_request",
    metadata,
    Column("team_id", Uuid, ForeignKey("team.id", ondelete="CASCADE"), primary_key=True),
    Column("key_sha256", Text, primary_key=True),
    Column("asked_sha256", Text, nullable=False),
    Column("run_id", Uuid, ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Index("run_request_run", "run_id"),
)

chunk = Table(
    "chunk",
    metadata,
    Column("run_id", Uuid, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("idx", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("first_frame", Integer, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("start_pts", BigInteger, nullable=False),
    Column("end_pts", BigInteger, nullable=False),
    Column("seek_pts", BigInteger, nullable=False),
    Column("frames_done", Integer, nullable=False, server_default="0"),
    Column("started_at", timestamp()),
    Column("finished_at", timestamp()),
    Column("computed_with", Text, nullable=False, server_default=""),
    *lease_columns(),
    Index("chunk_ready", "run_id", "idx", postgresql_where=text("state = 'ready'")),
    Index("chunk_quarantined", "run_id", postgresql_where=text("state = 'quarantined'")),
    Index("chunk_finished", "finished_at", postgresql_where=text("state = 'done'")),
    Index("chunk_in_flight", "state", "run_id", postgresql_where=text("state in ('queued', 'running')")),
)

# Insert-only, one row per frame, with people or without.
frame = Table(
    "frame",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("frame", Integer, primary_key=True),
    Column("chunk_idx", Integer, nullable=False),
    Column("pts", BigInteger, nullable=False),
    Column("people", SmallInteger, nullable=False),
    Column("missing", Text),
    Column("scores", ARRAY(REAL), nullable=False),
    Column("boxes", ARRAY(REAL), nullable=False),
    Column("keypoints", ARRAY(REAL), nullable=False),
)
