"""Copies of videos that every browser plays."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

PROXIES = """
CREATE TABLE proxy (
    video_id uuid PRIMARY KEY REFERENCES video (id) ON DELETE CASCADE,
    state text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    made_at timestamptz,
    object_key text,
    etag text,
    version_id text,
    size_bytes bigint,
    frames_done integer NOT NULL DEFAULT 0,
    reason text,
    queued_at timestamptz,
    not_before timestamptz NOT NULL DEFAULT now(),
    lease_token uuid,
    leased_at timestamptz,
    lease_until timestamptz,
    worker text,
    attempts integer NOT NULL DEFAULT 0,
    errors integer NOT NULL DEFAULT 0,
    expirations integer NOT NULL DEFAULT 0,
    deaths integer NOT NULL DEFAULT 0,
    last_error text
);
CREATE INDEX proxy_wanted ON proxy (requested_at) WHERE state = 'wanted';
CREATE INDEX proxy_made ON proxy (made_at) WHERE state = 'ready';
INSERT INTO state_transition VALUES
    ('proxy', 'wanted', 'ready'), ('proxy', 'wanted', 'failed'), ('proxy', 'failed', 'wanted');
CREATE TRIGGER proxy_state BEFORE UPDATE OF state ON proxy
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_state_transition();
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(PROXIES)
