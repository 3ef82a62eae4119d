"""Buckets that are watched for videos which other tools put there."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# A listing goes on after after_key, whoever goes on with it; round_started_at is null between two listings.
WATCHES = """
CREATE TABLE watch (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    bucket text NOT NULL,
    prefix text NOT NULL CHECK (prefix = '' OR prefix LIKE '%/'),
    pattern text NOT NULL,
    team_id uuid REFERENCES team (id) ON DELETE CASCADE,
    model_fingerprint text NOT NULL REFERENCES model (fingerprint),
    settle_s double precision NOT NULL DEFAULT 60 CHECK (settle_s >= 0),
    every_s double precision NOT NULL DEFAULT 60 CHECK (every_s >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    key_order text NOT NULL DEFAULT 'bytes' CHECK (key_order IN ('bytes', 'folders', 'none')),
    after_key text NOT NULL DEFAULT '',
    round_started_at timestamptz,
    counts jsonb NOT NULL DEFAULT '{}',
    listed jsonb,
    listed_at timestamptz,
    next_at timestamptz NOT NULL DEFAULT now(),
    worked_at timestamptz NOT NULL DEFAULT now(),
    lease_token uuid,
    lease_until timestamptz,
    error text,
    error_at timestamptz,
    UNIQUE (bucket, prefix, pattern)
);
"""

# Keys to look at before the next listing comes to them: by notifications, and of objects that have to settle.
HINTS = """
CREATE TABLE watch_hint (
    watch_id uuid NOT NULL REFERENCES watch (id) ON DELETE CASCADE,
    object_key text NOT NULL,
    look_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (watch_id, object_key)
);
CREATE INDEX watch_hint_due ON watch_hint (watch_id, look_at);
"""

# Listings are compared with the videos by ranges of keys, in the order in which the object store lists them.
VIDEOS = """
ALTER TABLE video ADD COLUMN source_gone_at timestamptz;
CREATE INDEX video_source ON video (bucket, object_key COLLATE "C") WHERE NOT owned;
CREATE INDEX video_source_by_folder ON video (bucket, replace(object_key, '/', chr(1)) COLLATE "C") WHERE NOT owned;
CREATE INDEX video_source_gone ON video (bucket, object_key) WHERE source_gone_at IS NOT NULL;
CREATE INDEX video_duplicates ON video (duplicate_of) WHERE duplicate_of IS NOT NULL;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for part in (WATCHES, HINTS, VIDEOS):
        op.execute(part)
