"""Schedules that have videos analysed again, their passes, and runs that wait for a pass."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCHEDULES = """
CREATE TABLE schedule (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    team_id uuid REFERENCES team (id),
    cron text NOT NULL,
    timezone text NOT NULL,
    window_s integer CHECK (window_s > 0),
    selection jsonb NOT NULL DEFAULT '[]',
    model_fingerprint text NOT NULL REFERENCES model (fingerprint),
    budget_frames bigint CHECK (budget_frames > 0),
    budget_video_s double precision CHECK (budget_video_s > 0),
    promotion text NOT NULL DEFAULT 'automatic',
    enabled boolean NOT NULL DEFAULT true,
    next_slot_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX schedule_due ON schedule (next_slot_at) WHERE enabled;
"""

# A schedule has one pass for each slot, whoever opens it; a pass asked for by hand has neither.
PASSES = """
CREATE TABLE pass (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    schedule_id uuid REFERENCES schedule (id) ON DELETE SET NULL,
    schedule_name text,
    name text NOT NULL,
    slot_at timestamptz,
    slots_missed integer NOT NULL DEFAULT 0,
    team_id uuid REFERENCES team (id),
    selection jsonb NOT NULL DEFAULT '[]',
    model_fingerprint text NOT NULL REFERENCES model (fingerprint),
    budget_frames bigint,
    budget_video_s double precision,
    promotion text NOT NULL,
    video_ids uuid[],
    opened_at timestamptz NOT NULL,
    closes_at timestamptz,
    closed_at timestamptz,
    ended text,
    no_more text,
    after_created_at timestamptz,
    after_id uuid,
    frames_given bigint NOT NULL DEFAULT 0,
    video_s_given double precision NOT NULL DEFAULT 0,
    result jsonb
);
CREATE UNIQUE INDEX pass_slot ON pass (schedule_id, slot_at);
CREATE INDEX pass_schedule_name ON pass (schedule_name, opened_at);
CREATE INDEX pass_open ON pass (opened_at) WHERE closed_at IS NULL;
"""

# A run that is held, and a chunk from chunk_limit on, wait for the next pass.
RUNS = """
ALTER TABLE run
    ADD COLUMN pass_id uuid REFERENCES pass (id),
    ADD COLUMN held boolean NOT NULL DEFAULT false,
    ADD COLUMN chunk_limit integer,
    ADD COLUMN promotion text NOT NULL DEFAULT 'automatic';
CREATE INDEX run_pass ON run (pass_id) WHERE pass_id IS NOT NULL;
CREATE INDEX run_held ON run (pass_id) WHERE held;
CREATE INDEX video_age ON video (created_at, id) WHERE state = 'ready';
DROP INDEX run_queue;
CREATE INDEX run_queue ON run (precision, lane, team_id, rank, due_at, id)
    WHERE state IN ('queued', 'running') AND NOT held;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("LOCK TABLE chunk, run, video, team IN ACCESS EXCLUSIVE MODE")
    for part in (SCHEDULES, PASSES, RUNS):
        op.execute(part)
