"""In which precisions a worker computes, which one a model asks for, and with what each chunk was computed."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("ALTER TABLE worker ADD COLUMN precisions text[] NOT NULL DEFAULT '{fp32}'")
    op.execute(
        "ALTER TABLE model ADD COLUMN precision text NOT NULL "
        "GENERATED ALWAYS AS (coalesce(spec ->> 'precision', 'fp32')) STORED"
    )
    op.execute("ALTER TABLE chunk ADD COLUMN computed_with text NOT NULL DEFAULT ''")
