"""Name expirations what they are, cancel the chunks of ended runs, and note where exports are stored."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CHUNKS = """
INSERT INTO state_transition VALUES
    ('chunk', 'ready', 'cancelled'), ('chunk', 'queued', 'cancelled'), ('chunk', 'running', 'cancelled');
UPDATE chunk SET state = 'cancelled', lease_token = NULL, lease_until = NULL, queued_at = NULL
FROM run
WHERE run.id = chunk.run_id AND run.state IN ('failed', 'cancelled') AND chunk.state IN ('ready', 'queued', 'running');
"""

LIMITS = """
UPDATE team SET limits = (
    SELECT coalesce(jsonb_object_agg(
        CASE key WHEN 'max_video_s' THEN 'max_duration_s' ELSE replace(key, 'max_video_', 'max_') END, value
    ), '{}') FROM jsonb_each(limits)
);
"""

# A run that failed in its finish may have stored an export that nothing removed.
EXPORTS = """
ALTER TABLE run ADD COLUMN export_key text;
UPDATE run SET export_key = 'runs/' || id || '/poses.jsonl'
WHERE state IN ('done', 'finishing') OR (state IN ('failed', 'cancelled') AND attempts > 0);
CREATE INDEX run_orphaned_export ON run (id) WHERE export_key IS NOT NULL AND state IN ('failed', 'cancelled');
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    # In the order in which workers lock them, before the first is changed.
    op.execute("LOCK TABLE chunk, run, video, team, worker IN ACCESS EXCLUSIVE MODE")
    for table in ("video", "run", "chunk"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN kills TO expirations")
    op.execute("ALTER TABLE worker RENAME COLUMN why TO reason")
    op.execute(LIMITS)
    op.execute(CHUNKS)
    op.execute(EXPORTS)
