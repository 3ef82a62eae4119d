"""Names that say what a column holds: a lease that expires is counted as an expiration."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for table in ("video", "run", "chunk"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN kills TO expirations")
