"""The ledger's second part: limits of a team, notes on a video, what a run's plan costs."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("ALTER TABLE team ADD COLUMN limits jsonb NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE video ADD COLUMN notes jsonb NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE run ADD COLUMN frames_to_decode integer")
