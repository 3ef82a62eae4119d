"""Flat cost at any number of open runs, lanes with shares, pauses, caps and deadlines, tags, and deaths of workers."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LANES = """
CREATE TABLE lane (
    name text PRIMARY KEY,
    rank smallint NOT NULL UNIQUE,
    share real NOT NULL CHECK (share >= 0 AND share < 1),
    paused_at timestamptz
);
INSERT INTO lane (name, rank, share) VALUES ('live', 0, 0.2), ('fresh', 1, 0.2), ('reprocess', 2, 0.1);
CREATE SEQUENCE dispatch_turn INCREMENT 256;
"""

TEAMS = """
ALTER TABLE team
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN max_slots integer CHECK (max_slots > 0);
"""

# The dispatcher reads the heads of the queues from run_queue: for each precision, lane and team the oldest runs.
RUNS = """
ALTER TABLE run
    ADD COLUMN team_id uuid REFERENCES team (id),
    ADD COLUMN precision text,
    ADD COLUMN rank smallint NOT NULL DEFAULT 1,
    ADD COLUMN deadline timestamptz,
    ADD COLUMN due_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN deaths integer NOT NULL DEFAULT 0;
UPDATE run SET team_id = video.team_id, precision = model.precision, due_at = run.created_at
FROM video, model WHERE video.id = run.video_id AND model.fingerprint = run.model_fingerprint;
ALTER TABLE run
    ALTER COLUMN team_id SET NOT NULL,
    ALTER COLUMN precision SET NOT NULL,
    ADD CONSTRAINT run_lane FOREIGN KEY (lane) REFERENCES lane (name);
CREATE INDEX run_queue ON run (precision, lane, team_id, rank, due_at, id) WHERE state IN ('queued', 'running');
CREATE INDEX run_deadline ON run (deadline)
    WHERE deadline IS NOT NULL AND rank > 0 AND state IN ('waiting', 'queued', 'running');
DROP INDEX run_open;
CREATE INDEX run_open ON run (state, id) WHERE state IN ('waiting', 'queued', 'running', 'finishing');
ALTER TABLE run SET (fillfactor = 80);
"""

# Few chunks are under way, however many wait: those that wait are found by their run (chunk_ready).
CHUNKS = """
ALTER TABLE chunk ADD COLUMN deaths integer NOT NULL DEFAULT 0;
DROP INDEX chunk_open;
-- Left over from when a run could get chunks while it was being ended.
UPDATE chunk SET state = 'cancelled', lease_token = NULL, lease_until = NULL, queued_at = NULL
FROM run
WHERE run.id = chunk.run_id AND run.state IN ('failed', 'cancelled') AND chunk.state IN ('ready', 'queued', 'running');
CREATE INDEX chunk_in_flight ON chunk (state, run_id) WHERE state IN ('queued', 'running');
CREATE INDEX chunk_quarantined ON chunk (run_id) WHERE state = 'quarantined';
-- What ended lately tells how fast work goes.
CREATE INDEX chunk_finished ON chunk (finished_at) WHERE state = 'done';
ALTER TABLE chunk SET (fillfactor = 90);
"""

VIDEOS = """
ALTER TABLE video
    ADD COLUMN tags jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN deaths integer NOT NULL DEFAULT 0;
CREATE INDEX video_hash ON video (team_id, sha256);
CREATE INDEX video_object ON video (object_key, team_id);
CREATE INDEX video_tags ON video USING gin (tags jsonb_path_ops);
CREATE INDEX video_queue ON video (team_id, created_at, id) WHERE state = 'stored' AND queued_at IS NULL;
CREATE INDEX video_in_flight ON video (team_id) WHERE state = 'stored' AND queued_at IS NOT NULL;
CREATE INDEX video_rejected ON video (not_before) WHERE state = 'rejected' AND owned AND etag IS NOT NULL;
"""

# As in 0007, with the tags last.
RUN_SUMMARY = """
CREATE OR REPLACE VIEW run_summary AS
SELECT run.id AS run_id, run.video_id, video.name AS video, team.name AS team, model.name AS model,
    model.fingerprint, model.precision, run.state, run.reason, run.created_at, run.started_at, run.finished_at,
    round(extract(epoch FROM run.finished_at - run.started_at), 2)::double precision AS took_s,
    coalesce((run.summary ->> 'video_s')::numeric, round(
        (video.last_pts - video.first_pts)::numeric * video.time_base_num / video.time_base_den
        * video.frames / greatest(video.frames - 1, 1), 3  -- the last frame is shown, too
    ))::double precision AS video_s,
    video.frames,
    (run.summary ->> 'frames_missing')::integer AS frames_missing,
    (run.summary ->> 'frames_with_people')::integer AS frames_with_people,
    (run.summary ->> 'most_people')::integer AS most_people,
    (run.summary ->> 'poses')::integer AS poses,
    run.id IS NOT DISTINCT FROM video.current_run_id AS is_current,
    video.tags
FROM run
JOIN video ON video.id = run.video_id
JOIN team ON team.id = video.team_id
JOIN model ON model.fingerprint = run.model_fingerprint;
COMMENT ON COLUMN run_summary.tags IS 'the video''s tags: a text by each key';
"""

WORKERS = """
ALTER TABLE worker
    ADD COLUMN draining_at timestamptz,
    ADD COLUMN drained_at timestamptz,
    ADD COLUMN disk_low text NOT NULL DEFAULT '',
    ADD COLUMN reporting_since timestamptz NOT NULL DEFAULT now();
CREATE TABLE worker_death (
    worker text NOT NULL,
    started_at timestamptz NOT NULL,
    died_at timestamptz NOT NULL,
    held text[],
    PRIMARY KEY (worker, started_at)
);
"""

# What a person asked to be tried again.
RETRIES = """
INSERT INTO state_transition VALUES ('chunk', 'quarantined', 'ready'), ('video', 'rejected', 'stored');
"""

PRESSURE = """
CREATE TABLE pressure (
    part text PRIMARY KEY,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
"""

# Since when its worker has held it: a process that started later is not the one that leased it.
LEASES = """
ALTER TABLE video ADD COLUMN leased_at timestamptz;
ALTER TABLE run ADD COLUMN leased_at timestamptz;
ALTER TABLE chunk ADD COLUMN leased_at timestamptz;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    # In the order in which workers lock them, before the first is changed.
    op.execute("LOCK TABLE chunk, run, video, team, worker IN ACCESS EXCLUSIVE MODE")
    for part in (LANES, TEAMS, RUNS, CHUNKS, VIDEOS, RUN_SUMMARY, WORKERS, RETRIES, PRESSURE, LEASES):
        op.execute(part)
