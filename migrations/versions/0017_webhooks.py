"""Webhooks: addresses that are told when a team's runs end, and what was told to them."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# The secret is kept as it is: what is sent is signed with it.
WEBHOOKS = """
CREATE TABLE webhook (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id uuid NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    url text NOT NULL,
    secret text NOT NULL,
    created_by uuid REFERENCES account (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_until timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_team ON webhook (team_id, created_at);
CREATE TABLE webhook_delivery (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook_id uuid NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    event text NOT NULL CHECK (event IN ('run.done', 'run.failed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    delivered_at timestamptz,
    answer text,
    UNIQUE (webhook_id, run_id, event)
);
CREATE INDEX webhook_delivery_listed ON webhook_delivery (webhook_id, created_at, id);
CREATE INDEX webhook_delivery_due ON webhook_delivery (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX webhook_delivery_run ON webhook_delivery (run_id);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(WEBHOOKS)
