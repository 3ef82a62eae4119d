"""The tables. Migrations create them; the README draws their states."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()

#: Holds that a team has each content once.
CONTENT_INDEX = "video_content"


def _now() -> DateTime:
    return DateTime(timezone=True)


def _lease_columns() -> list[Column[object]]:
    """Columns of a row that workers lease: who holds it until when, and what went wrong before. See `db.leases`."""
    return [
        Column("queued_at", _now()),
        Column("not_before", _now(), nullable=False, server_default=func.now()),
        Column("lease_token", Uuid),
        Column("leased_at", _now()),
        Column("lease_until", _now()),
        Column("worker", Text),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("errors", Integer, nullable=False, server_default="0"),
        Column("expirations", Integer, nullable=False, server_default="0"),
        Column("deaths", Integer, nullable=False, server_default="0"),
        Column("last_error", Text),
    ]


team = Table(
    "team",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("name", Text, nullable=False, unique=True),
    Column("weight", Float, nullable=False, server_default="1"),
    Column("limits", JSONB, nullable=False, server_default=text("'{}'")),
    Column("created_at", _now(), nullable=False, server_default=func.now()),
    Column("paused_at", _now()),
    Column("max_slots", Integer),
    Column("erasure_id", Uuid, ForeignKey("erasure.id")),
)

#: The queue's lanes; those of a lower rank come first, and each keeps its share of the chunks sent.
lane = Table(
    "lane",
    metadata,
    Column("name", Text, primary_key=True),
    Column("rank", SmallInteger, nullable=False, unique=True),
    Column("share", REAL, nullable=False),
    Column("paused_at", _now()),
)

model = Table(
    "model",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("spec", JSONB, nullable=False),
    Column("created_at", _now(), nullable=False, server_default=func.now()),
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
    Column("created_at", _now(), nullable=False, server_default=func.now()),
    *_lease_columns(),
    Column("source_gone_at", _now()),
    Column("original_at", _now(), nullable=False, server_default=func.now()),
    Column("original_removed_at", _now()),
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
    Column("deadline", _now()),
    Column("due_at", _now(), nullable=False, server_default=func.now()),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("chunks_total", Integer),
    Column("chunks_pending", Integer),
    Column("frames_to_decode", Integer),
    Column("export_key", Text),
    Column("summary", JSONB),
    Column("created_at", _now(), nullable=False, server_default=func.now()),
    Column("started_at", _now()),
    Column("finished_at", _now()),
    *_lease_columns(),
    Column("pass_id", Uuid, ForeignKey("pass.id")),
    Column("held", Boolean, nullable=False, server_default=text("false")),
    Column("chunk_limit", Integer),
    Column("promotion", Text, nullable=False, server_default="automatic"),
    Column("export_removed_at", _now()),
    Column("not_current_since", _now()),
    Index("run_video", "video_id"),
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
    Column("started_at", _now()),
    Column("finished_at", _now()),
    Column("computed_with", Text, nullable=False, server_default=""),
    *_lease_columns(),
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

worker = Table(
    "worker",
    metadata,
    Column("name", Text, primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("device", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("engine", Text, nullable=False, server_default=""),
    Column("driver", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("golden_ms", REAL),
    Column("precisions", ARRAY(Text), nullable=False, server_default="{fp32}"),
    Column("checked_at", _now()),
    Column("draining_at", _now()),
    Column("drained_at", _now()),
    Column("disk_low", Text, nullable=False, server_default=""),
    Column("started_at", _now(), nullable=False, server_default=func.now()),
    Column("seen_at", _now(), nullable=False, server_default=func.now()),
    Column("reporting_since", _now(), nullable=False, server_default=func.now()),
)

#: One row per worker process that died without having been stopped, with what it held. See `db.worker_deaths`.
worker_death = Table(
    "worker_death",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("started_at", _now(), primary_key=True),
    Column("died_at", _now(), nullable=False),
    Column("held", ARRAY(Text)),
)

#: Why nothing more is taken in, one row per part that is near its limit; empty while there is room.
pressure = Table(
    "pressure",
    metadata,
    Column("part", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since", _now(), nullable=False, server_default=func.now()),
    Column("seen_at", _now(), nullable=False, server_default=func.now()),
)

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
    Column("next_slot_at", _now()),
    Column("created_at", _now(), nullable=False, server_default=func.now()),
    Index("schedule_due", "next_slot_at", postgresql_where=text("enabled")),
)

#: One night's work of a schedule, or what was asked for by hand: the videos that are analysed again.
pass_ = Table(
    "pass",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("schedule_id", Uuid, ForeignKey("schedule.id", ondelete="SET NULL")),
    Column("name", Text, nullable=False),
    Column("slot_at", _now()),
    Column("slots_missed", Integer, nullable=False, server_default="0"),
    Column("team_id", Uuid, ForeignKey("team.id")),
    Column("selection", JSONB, nullable=False, server_default=text("'[]'")),
    Column("model_fingerprint", Text, ForeignKey("model.fingerprint"), nullable=False),
    Column("budget_frames", BigInteger),
    Column("budget_video_s", Float),
    Column("promotion", Text, nullable=False),
    Column("video_ids", ARRAY(Uuid)),
    Column("opened_at", _now(), nullable=False),
    Column("closes_at", _now()),
    Column("closed_at", _now()),
    Column("ended", Text),
    Column("no_more", Text),
    Column("after_created_at", _now()),
    Column("after_id", Uuid),
    Column("frames_given", BigInteger, nullable=False, server_default="0"),
    Column("video_s_given", Float, nullable=False, server_default="0"),
    Column("result", JSONB),
    Index("pass_slot", "schedule_id", "slot_at", unique=True),
    Index("pass_open", "opened_at", postgresql_where=text("closed_at is null")),
)

#: How a run differs from the one that was its video's current run when it was finished.
comparison = Table(
    "comparison",
    metadata,
    Column("run_id", Uuid, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("against_run_id", Uuid, ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
    Column("figures", JSONB, nullable=False),
    Column("created_at", _now(), nullable=False, server_default=func.now()),
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
    Column("at", _now(), nullable=False, server_default=func.clock_timestamp()),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("promotion_video", "video_id", "id"),
    Index("promotion_run", "run_id"),
    Index("promotion_previous_run", "previous_run_id"),
)

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
    Column("created_at", _now(), nullable=False, server_default=func.now()),
    Column("key_order", Text, nullable=False, server_default="bytes"),
    Column("after_key", Text, nullable=False, server_default=""),
    Column("round_started_at", _now()),
    Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("listed", JSONB),
    Column("listed_at", _now()),
    Column("next_at", _now(), nullable=False, server_default=func.now()),
    Column("worked_at", _now(), nullable=False, server_default=func.now()),
    Column("lease_token", Uuid),
    Column("lease_until", _now()),
    Column("error", Text),
    Column("error_at", _now()),
    UniqueConstraint("bucket", "prefix", "pattern"),
)

#: Keys to look at before the listing comes to them.
watch_hint = Table(
    "watch_hint",
    metadata,
    Column("watch_id", Uuid, ForeignKey("watch.id", ondelete="CASCADE"), primary_key=True),
    Column("object_key", Text, primary_key=True),
    Column("look_at", _now(), nullable=False, server_default=func.now()),
    Index("watch_hint_due", "watch_id", "look_at"),
)

#: Runs that were deleted, and how far their frames have been.
frame_removal = Table(
    "frame_removal",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("requested_at", _now(), nullable=False, server_default=func.clock_timestamp()),
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
    Column("next_at", _now(), nullable=False, server_default=func.now()),
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
    Column("requested_at", _now(), nullable=False, server_default=func.now()),
    Column("finished_at", _now()),
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
    Column("done_at", _now()),
    Column("look_at", _now()),
    Index("erasure_item_open", "erasure_id", "kind", "key", postgresql_where=text("done_at is null")),
    Index("erasure_item_run", "key", postgresql_where=text("kind = 'run' and done_at is null")),
    Index("erasure_item_look", "look_at", postgresql_where=text("look_at is not null")),
)

#: Objects of users, by SHA-256, whose videos were erased: no watch takes them in again.
erased_source = Table("erased_source", metadata, Column("sha256", Text, primary_key=True))

state_transition = Table(
    "state_transition",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("from_state", Text, primary_key=True),
    Column("to_state", Text, primary_key=True),
)
