"""Which run is a video's current one, since when and why; and how each new run differs from the one before."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COMPARISONS = """
CREATE TABLE comparison (
    run_id uuid PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    against_run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    figures jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX comparison_against ON comparison (against_run_id);
"""

PROMOTIONS = """
CREATE TABLE promotion (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    video_id uuid NOT NULL REFERENCES video (id) ON DELETE CASCADE,
    run_id uuid REFERENCES run (id) ON DELETE SET NULL,
    previous_run_id uuid REFERENCES run (id) ON DELETE SET NULL,
    at timestamptz NOT NULL DEFAULT now(),
    by text NOT NULL,
    reason text NOT NULL
);
CREATE INDEX promotion_video ON promotion (video_id, id);
CREATE INDEX promotion_run ON promotion (run_id);
CREATE INDEX promotion_previous_run ON promotion (previous_run_id);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("LOCK TABLE run, video IN ACCESS EXCLUSIVE MODE")
    for part in (COMPARISONS, PROMOTIONS):
        op.execute(part)
