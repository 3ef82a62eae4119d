"""Which run is a video's current one, since when and why; and how each new run differs from the one before."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COMPARISONS = """
CREATE TABLE comparison (
    run_id uuid PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    against_run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    figures jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX comparison_against ON comparison (against_run_id);
"""

PROMOTIONS = """
CREATE TABLE promotion (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    video_id uuid NOT NULL REFERENCES video (id) ON DELETE CASCADE,
    run_id uuid REFERENCES run (id) ON DELETE SET NULL,
    previous_run_id uuid REFERENCES run (id) ON DELETE SET NULL,
    promoted boolean NOT NULL DEFAULT true,
    undoes bigint,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    by text NOT NULL,
    reason text NOT NULL
);
CREATE INDEX promotion_video ON promotion (video_id, id);
CREATE INDEX promotion_run ON promotion (run_id);
CREATE INDEX promotion_previous_run ON promotion (previous_run_id);
"""

# Until now the newest that was done was the current one.
HISTORY = """
INSERT INTO promotion (video_id, run_id, at, by, reason)
SELECT video.id, run.id, coalesce(run.finished_at, run.created_at), 'rule', 'the newest that was done'
FROM video JOIN run ON run.id = video.current_run_id ORDER BY 3;
"""

# A run that is deleted is looked for among the current ones.
CURRENT = "CREATE INDEX video_current ON video (current_run_id)"

CURRENT_RUN = "of each video's current run: the one that was promoted last"
VIEWS = {
    "current_pose": f"One row per person per frame, {CURRENT_RUN}",
    "current_keypoint": f"One row per keypoint per person per frame, {CURRENT_RUN}",
    "current_frame": f"One row per frame, with people or without, {CURRENT_RUN}",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("LOCK TABLE run, video IN ACCESS EXCLUSIVE MODE")
    for part in (COMPARISONS, PROMOTIONS, HISTORY, CURRENT):
        op.execute(part)
    for view, words in VIEWS.items():
        quoted = words.replace("'", "''")
        op.execute(f"COMMENT ON VIEW {view} IS '{quoted}'")
