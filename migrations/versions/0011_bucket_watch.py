"""Buckets that are watched for videos which other tools put there."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WATCHES = """
CREATE TABLE watch (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    bucket text NOT NULL,
    prefix text NOT NULL,
    pattern text NOT NULL,
    team_id uuid REFERENCES team (id),
    model_fingerprint text REFERENCES model (fingerprint),
    settle_s double precision NOT NULL DEFAULT 60,
    enabled boolean NOT NULL DEFAULT true,
    after_key text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (bucket, prefix, pattern)
);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(WATCHES)
