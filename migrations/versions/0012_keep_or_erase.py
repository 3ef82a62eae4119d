"""How long each team's data is kept, and what was erased for good."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

RETENTION = """
CREATE TABLE retention (
    team_id uuid NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    kind text NOT NULL,
    days integer NOT NULL CHECK (days > 0),
    next_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, kind)
);
CREATE INDEX retention_due ON retention (next_at);
"""

# What a sweep has to look at is in an index of its own, so that it costs the same however much is kept.
VIDEOS = """
ALTER TABLE video
    ADD COLUMN original_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN original_removed_at timestamptz;
UPDATE video SET original_at = created_at;
CREATE INDEX video_original ON video (team_id, original_at)
    WHERE owned AND state = 'ready' AND original_removed_at IS NULL;
"""

RUNS = """
ALTER TABLE run
    ADD COLUMN export_removed_at timestamptz,
    ADD COLUMN not_current_since timestamptz;
UPDATE run SET not_current_since = finished_at
WHERE state = 'done' AND NOT EXISTS (SELECT FROM video WHERE current_run_id = run.id);
CREATE INDEX run_video ON run (video_id);
CREATE INDEX run_export ON run (team_id, finished_at) WHERE state = 'done' AND export_removed_at IS NULL;
CREATE INDEX run_not_current ON run (team_id, not_current_since) WHERE not_current_since IS NOT NULL;
CREATE INDEX run_without_results ON run (team_id, finished_at) WHERE state IN ('failed', 'cancelled');
"""

# Whoever makes another run current, and for whatever reason, the time is noted here.
NOT_CURRENT_SINCE = """
CREATE FUNCTION note_done_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.not_current_since := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER run_not_current BEFORE UPDATE OF state ON run
    FOR EACH ROW WHEN (NEW.state = 'done' AND OLD.state <> 'done') EXECUTE FUNCTION note_done_run();

CREATE FUNCTION note_current_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE run SET not_current_since = clock_timestamp() WHERE id = OLD.current_run_id;
    UPDATE run SET not_current_since = NULL WHERE id = NEW.current_run_id;
    RETURN NULL;
END $$;
CREATE TRIGGER video_current_run AFTER UPDATE OF current_run_id ON video
    FOR EACH ROW WHEN (OLD.current_run_id IS DISTINCT FROM NEW.current_run_id) EXECUTE FUNCTION note_current_run();
"""

# Frames go with their run: nothing reads them without it, so they are unseen from the moment in which it is deleted.
# Millions of them in that one statement would hold its locks all the while; they are deleted in batches afterwards.
FRAMES_GO_LATER = """
CREATE TABLE frame_removal (
    run_id uuid PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_frame integer NOT NULL DEFAULT 0,
    last_frame integer,
    removed bigint NOT NULL DEFAULT 0
);
CREATE INDEX frame_removal_order ON frame_removal (requested_at, run_id);
CREATE FUNCTION request_frame_removal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO frame_removal (run_id) VALUES (OLD.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
DROP TRIGGER run_frames ON run;
DROP FUNCTION delete_frames_of_run();
-- The default, a fifth of the table, would let it grow by that much.
ALTER TABLE frame SET (autovacuum_vacuum_scale_factor = 0.05);
CREATE TRIGGER run_frames AFTER DELETE ON run FOR EACH ROW EXECUTE FUNCTION request_frame_removal();
"""

ERASURES = """
CREATE TABLE erasure (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    scope text NOT NULL,
    asked_sha256 text NOT NULL,
    by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    receipt jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX erasure_open ON erasure (requested_at) WHERE finished_at IS NULL;
CREATE TABLE erasure_item (
    erasure_id uuid NOT NULL REFERENCES erasure (id) ON DELETE CASCADE,
    kind text NOT NULL,
    key text NOT NULL,
    bucket text NOT NULL DEFAULT '',
    found jsonb,
    done_at timestamptz,
    look_at timestamptz,
    PRIMARY KEY (erasure_id, kind, key, bucket)
);
CREATE INDEX erasure_item_open ON erasure_item (erasure_id, kind, key) WHERE done_at IS NULL;
CREATE INDEX erasure_item_run ON erasure_item (key) WHERE kind = 'run' AND done_at IS NULL;
CREATE INDEX erasure_item_look ON erasure_item (look_at) WHERE look_at IS NOT NULL;
CREATE TABLE erased_source (sha256 text PRIMARY KEY);
ALTER TABLE team ADD COLUMN erasure_id uuid REFERENCES erasure (id);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("LOCK TABLE chunk, run, video, team IN ACCESS EXCLUSIVE MODE")
    for part in (RETENTION, VIDEOS, RUNS, NOT_CURRENT_SINCE, FRAMES_GO_LATER, ERASURES):
        op.execute(part)
