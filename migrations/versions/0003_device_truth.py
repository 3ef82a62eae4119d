"""What a worker computes with, and one row per keypoint with its name."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WORKER = """
ALTER TABLE worker
    ADD COLUMN engine text NOT NULL DEFAULT '',
    ADD COLUMN driver text NOT NULL DEFAULT '',
    ADD COLUMN why text NOT NULL DEFAULT '',
    ADD COLUMN golden_ms real,
    ADD COLUMN checked_at timestamptz;
"""

# OFFSET 0: a person's keypoints are cut out once and not once for each number, which took 7 s and not 0.1 s for 4,000
# people of 133 keypoints.
KEYPOINT = """
CREATE VIEW keypoint AS
SELECT pose.run_id, pose.frame_no, pose.pts, pose.time_s, pose.person,
       number - 1 AS number,
       model.spec -> 'keypoint_names' ->> (number - 1) AS name,
       own.xyc[3 * number - 2] AS x,
       own.xyc[3 * number - 1] AS y,
       own.xyc[3 * number] AS confidence
FROM pose
JOIN run ON run.id = pose.run_id
JOIN model ON model.fingerprint = run.model_fingerprint
CROSS JOIN LATERAL (SELECT pose.keypoints_xyc AS xyc OFFSET 0) AS own
CROSS JOIN LATERAL generate_series(1, cardinality(own.xyc) / 3) AS number;
COMMENT ON VIEW keypoint IS
    'One row per keypoint per person per frame, in pixels of the frame as displayed; confidence is 0..1';
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(WORKER)
    op.execute(KEYPOINT)
