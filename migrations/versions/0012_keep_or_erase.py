"""How long each team's data is kept, and what was erased for good."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

RETENTION = """
CREATE TABLE retention (
    team_id uuid NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    kind text NOT NULL,
    days integer NOT NULL CHECK (days >= 0),
    PRIMARY KEY (team_id, kind)
);
"""

ERASURES = """
CREATE TABLE erasure (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    target text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    receipt jsonb NOT NULL DEFAULT '{}'
);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for part in (RETENTION, ERASURES):
        op.execute(part)
