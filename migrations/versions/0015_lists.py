"""Lists of a team's videos and runs, newest first; what changed since a time; runs that were asked for with a key."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# A trigger before the row is written locks nothing else, as one that noted the change in another table would.
CHANGES = """
ALTER TABLE video ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE run ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER video_added BEFORE INSERT ON video FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE TRIGGER video_changed BEFORE UPDATE ON video FOR EACH ROW
    WHEN ((OLD.state, OLD.name, OLD.tags, OLD.current_run_id, OLD.duplicate_of, OLD.original_removed_at)
          IS DISTINCT FROM
          (NEW.state, NEW.name, NEW.tags, NEW.current_run_id, NEW.duplicate_of, NEW.original_removed_at))
    EXECUTE FUNCTION note_change();
CREATE TRIGGER run_added BEFORE INSERT ON run FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE TRIGGER run_changed BEFORE UPDATE ON run FOR EACH ROW
    WHEN ((OLD.state, OLD.video_id) IS DISTINCT FROM (NEW.state, NEW.video_id))
    EXECUTE FUNCTION note_change();
"""

INDEXES = """
CREATE INDEX video_listed ON video (team_id, created_at, id) WHERE duplicate_of IS NULL;
CREATE INDEX video_changes ON video (team_id, changed_at);
CREATE INDEX run_listed ON run (team_id, created_at, id);
CREATE INDEX run_changes ON run (team_id, changed_at);
CREATE INDEX run_under_way ON run (team_id) WHERE state IN ('running', 'finishing');
"""

KEYS = """
CREATE TABLE run_request (
    team_id uuid NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    key_sha256 text NOT NULL,
    asked_sha256 text NOT NULL,
    run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, key_sha256)
);
CREATE INDEX run_request_run ON run_request (run_id);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for statements in (CHANGES, INDEXES, KEYS):
        op.execute(statements)
