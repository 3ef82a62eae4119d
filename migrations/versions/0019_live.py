"""Live: the processes that find people in what cameras send, and the sessions of these cameras."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# A session has no foreign key to its process, whose row goes with it. Without pictures or poses it is kept for a while,
# to tell what became of its frames.
LIVE = """
CREATE TABLE live_process (
    name text PRIMARY KEY,
    url text NOT NULL,
    machine text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    model text NOT NULL,
    device text NOT NULL,
    call_ms real NOT NULL,
    p95_ms real,
    foretold_ms real NOT NULL,
    room text NOT NULL CHECK (room IN ('full', 'hybrid', 'preview')),
    sessions integer NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE live_session (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id uuid NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    account_id uuid REFERENCES account (id) ON DELETE SET NULL,
    api_key_id uuid REFERENCES api_key (id) ON DELETE SET NULL,
    process text NOT NULL DEFAULT '',
    ticket_sha256 text UNIQUE,
    name text NOT NULL DEFAULT '',
    mode text NOT NULL CHECK (mode IN ('full', 'hybrid')),
    begun_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    reason text,
    counts jsonb
);
CREATE INDEX live_session_team ON live_session (team_id, begun_at);
CREATE INDEX live_session_open ON live_session (team_id, last_seen_at) WHERE ended_at IS NULL;
CREATE INDEX live_session_ended ON live_session (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX live_session_account ON live_session (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX live_session_key ON live_session (api_key_id) WHERE api_key_id IS NOT NULL;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(LIVE)
