"""Uploads in parts that can be broken off and resumed, and how much a team may store."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

UPLOADS = """
CREATE TABLE upload (
    video_id uuid PRIMARY KEY REFERENCES video (id) ON DELETE CASCADE,
    team_id uuid NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    account_id uuid REFERENCES account (id) ON DELETE SET NULL,
    actor text NOT NULL,
    size_bytes bigint NOT NULL,
    modified_ms bigint,
    first_sha256 text,
    part_bytes bigint NOT NULL,
    store_upload_id text,
    model_fingerprint text REFERENCES model (fingerprint),
    idempotency_key text,
    begun_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    CHECK (size_bytes > 0 AND part_bytes > 0)
);
CREATE INDEX upload_team ON upload (team_id, size_bytes);
CREATE UNIQUE INDEX upload_idempotency ON upload (team_id, idempotency_key);
CREATE INDEX upload_account ON upload (account_id);
CREATE TABLE upload_part (
    video_id uuid NOT NULL REFERENCES upload (video_id) ON DELETE CASCADE,
    number integer NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    etag text NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (video_id, number)
);
"""

QUOTA = "ALTER TABLE team ADD COLUMN quota_bytes bigint CHECK (quota_bytes > 0)"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for statements in (UPLOADS, QUOTA):
        op.execute(statements)
