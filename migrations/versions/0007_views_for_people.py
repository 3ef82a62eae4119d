"""Call a frame's number `frame` in SQL, as in every file, and a run whose chunks no worker has begun `queued`."""

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

# A run's start was the time of its plan; now it is the time of its first claim, as nearly as the chunks tell it.
QUEUED = """
DELETE FROM state_transition WHERE kind = 'run' AND from_state = 'waiting' AND to_state = 'running';
INSERT INTO state_transition VALUES
    ('run', 'waiting', 'queued'), ('run', 'queued', 'running'), ('run', 'queued', 'failed'),
    ('run', 'queued', 'cancelled');
DROP INDEX run_open;
ALTER TABLE run DISABLE TRIGGER run_state;
UPDATE run SET started_at = (SELECT min(chunk.started_at) FROM chunk WHERE chunk.run_id = run.id)
WHERE started_at IS NOT NULL;
UPDATE run SET state = 'queued' WHERE state = 'running' AND started_at IS NULL;
ALTER TABLE run ENABLE TRIGGER run_state;
CREATE INDEX run_open ON run (state) WHERE state IN ('waiting', 'queued', 'running', 'finishing');
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    # In the order in which workers lock them, before the first is changed.
    op.execute("LOCK TABLE chunk, frame, run, video, team, model IN ACCESS EXCLUSIVE MODE")
    op.execute(FRAME)
    op.execute(QUEUED)
