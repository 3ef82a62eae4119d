"""Call a frame's number `frame` in SQL, as in every file."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FRAME = """
ALTER TABLE frame RENAME COLUMN frame_no TO frame;
ALTER VIEW pose RENAME COLUMN frame_no TO frame;
ALTER VIEW keypoint RENAME COLUMN frame_no TO frame;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(FRAME)
