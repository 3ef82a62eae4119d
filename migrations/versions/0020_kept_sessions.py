"""Live sessions that are kept: which video one became, and why not, or not all of it."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

KEPT = """
ALTER TABLE live_session
    ADD COLUMN keep boolean NOT NULL DEFAULT false,
    ADD COLUMN video_id uuid REFERENCES video (id) ON DELETE SET NULL,
    ADD COLUMN not_kept text;
CREATE INDEX live_session_video ON live_session (video_id) WHERE video_id IS NOT NULL;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(KEPT)
