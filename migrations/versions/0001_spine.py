"""The spine: teams, videos, models, runs, chunks, frames, workers, and the states they may be in."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LEASE = """
    queued_at timestamptz,
    not_before timestamptz NOT NULL DEFAULT now(),
    lease_token uuid,
    lease_until timestamptz,
    worker text,
    attempts integer NOT NULL DEFAULT 0,
    errors integer NOT NULL DEFAULT 0,
    kills integer NOT NULL DEFAULT 0,
    last_error text
"""

TABLES = f"""
CREATE TABLE team (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    weight double precision NOT NULL DEFAULT 1 CHECK (weight > 0 AND weight < 'Infinity'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE model (
    fingerprint text PRIMARY KEY,
    name text NOT NULL,
    spec jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE video (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id uuid NOT NULL REFERENCES team (id),
    name text NOT NULL,
    state text NOT NULL,
    reason text,
    bucket text NOT NULL,
    object_key text NOT NULL,
    owned boolean NOT NULL,
    etag text,
    version_id text,
    size_bytes bigint,
    sha256 text,
    duplicate_of uuid REFERENCES video (id),
    container text,
    codec text,
    width integer,
    height integer,
    rotation_deg integer,
    time_base_num bigint,
    time_base_den bigint,
    frames integer,
    first_pts bigint,
    last_pts bigint,
    frame_index bytea,
    current_run_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    {LEASE}
);
CREATE UNIQUE INDEX video_content ON video (team_id, sha256) WHERE state = 'ready';
CREATE INDEX video_open ON video (state) WHERE state IN ('uploading', 'stored');

CREATE TABLE run (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    video_id uuid NOT NULL REFERENCES video (id),
    model_fingerprint text NOT NULL REFERENCES model (fingerprint),
    params jsonb NOT NULL DEFAULT '{{}}',
    lane text NOT NULL DEFAULT 'fresh',
    state text NOT NULL,
    reason text,
    chunks_total integer,
    chunks_pending integer,
    summary jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    {LEASE}
);
CREATE UNIQUE INDEX run_identity ON run (video_id, model_fingerprint, params)
    WHERE state NOT IN ('failed', 'cancelled');
CREATE INDEX run_open ON run (state) WHERE state IN ('waiting', 'running', 'finishing');
ALTER TABLE video ADD CONSTRAINT video_current_run FOREIGN KEY (current_run_id) REFERENCES run (id);

CREATE TABLE chunk (
    run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    idx integer NOT NULL,
    state text NOT NULL,
    reason text,
    first_frame integer NOT NULL,
    frames integer NOT NULL,
    start_pts bigint NOT NULL,
    end_pts bigint NOT NULL,
    seek_pts bigint NOT NULL,
    frames_done integer NOT NULL DEFAULT 0,
    started_at timestamptz,
    finished_at timestamptz,
    {LEASE},
    PRIMARY KEY (run_id, idx)
);
CREATE INDEX chunk_open ON chunk (state, not_before) WHERE state IN ('ready', 'queued', 'running');
CREATE INDEX chunk_ready ON chunk (run_id, idx) WHERE state = 'ready';

CREATE TABLE frame (
    run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    frame_no integer NOT NULL,
    chunk_idx integer NOT NULL,
    pts bigint NOT NULL,
    people smallint NOT NULL,
    missing text,
    scores real[] NOT NULL,
    boxes real[] NOT NULL,
    keypoints real[] NOT NULL,
    PRIMARY KEY (run_id, frame_no)
);

CREATE VIEW pose AS
SELECT frame.run_id, frame.frame_no, frame.pts,
       frame.pts * video.time_base_num::double precision / video.time_base_den AS time_s,
       person - 1 AS person,
       frame.scores[person] AS score,
       frame.boxes[4 * person - 3 : 4 * person] AS box_xyxy,
       frame.keypoints[(person - 1) * one.numbers + 1 : person * one.numbers] AS keypoints_xyc
FROM frame
JOIN run ON run.id = frame.run_id
JOIN video ON video.id = run.video_id
CROSS JOIN LATERAL (SELECT cardinality(frame.keypoints) / nullif(frame.people, 0) AS numbers) AS one
CROSS JOIN LATERAL generate_series(1, frame.people) AS person;
COMMENT ON VIEW pose IS 'One row per person per frame, in pixels of the frame as displayed';

CREATE TABLE worker (
    name text PRIMARY KEY,
    pid integer NOT NULL,
    device text NOT NULL,
    provider text NOT NULL,
    slots integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
"""

STATES = """
CREATE TABLE state_transition (
    kind text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    PRIMARY KEY (kind, from_state, to_state)
);
INSERT INTO state_transition VALUES
    ('video', 'uploading', 'stored'), ('video', 'uploading', 'rejected'),
    ('video', 'stored', 'ready'), ('video', 'stored', 'rejected'),
    ('run', 'waiting', 'running'), ('run', 'waiting', 'failed'), ('run', 'waiting', 'cancelled'),
    ('run', 'running', 'finishing'), ('run', 'running', 'failed'), ('run', 'running', 'cancelled'),
    ('run', 'finishing', 'done'), ('run', 'finishing', 'failed'), ('run', 'finishing', 'cancelled'),
    ('chunk', 'ready', 'queued'), ('chunk', 'ready', 'running'),
    ('chunk', 'queued', 'ready'), ('chunk', 'queued', 'running'),
    ('chunk', 'running', 'ready'), ('chunk', 'running', 'done'), ('chunk', 'running', 'quarantined');

CREATE FUNCTION check_state_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM state_transition
        WHERE kind = TG_TABLE_NAME AND from_state = OLD.state AND to_state = NEW.state
    ) THEN
        RAISE EXCEPTION '% may not go from % to %', TG_TABLE_NAME, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER video_state BEFORE UPDATE OF state ON video
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_state_transition();
CREATE TRIGGER run_state BEFORE UPDATE OF state ON run
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_state_transition();
CREATE TRIGGER chunk_state BEFORE UPDATE OF state ON chunk
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_state_transition();
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(TABLES)
    op.execute(STATES)
