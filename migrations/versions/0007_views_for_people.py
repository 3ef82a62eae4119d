"""Views for people, `frame` for a frame's number as in every file, and `queued` for a run that no worker has begun."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FRAME = """
DROP VIEW keypoint;
DROP VIEW pose;
ALTER TABLE frame RENAME COLUMN frame_no TO frame;
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

RUN_COLUMNS = """
    run.id AS run_id, video.name AS video, team.name AS team, model.name AS model, run.state,
    frame.frame, frame.pts, frame.pts * video.time_base_num::double precision / video.time_base_den AS time_s
"""

# The planner takes a run for a thousand frames however many runs there are. Otherwise statistics from when there were
# two runs made it read every frame for one video until the next ANALYZE.
STATISTICS = """
ALTER TABLE frame ALTER COLUMN run_id SET (n_distinct = -0.001);
ANALYZE frame;
"""

# The frames come last: by then the run is known, and their primary key gives those of that run alone.
FRAMES = """
FROM video
JOIN team ON team.id = video.team_id
JOIN run ON {which}
JOIN model ON model.fingerprint = run.model_fingerprint
JOIN frame ON frame.run_id = run.id
"""
OF_RUNS = FRAMES.format(which="run.video_id = video.id AND run.state NOT IN ('failed', 'cancelled')")
OF_CURRENT_RUNS = FRAMES.format(which="run.id = video.current_run_id")

POSE = """
CREATE VIEW {name} AS
SELECT {run}, person - 1 AS person, frame.scores[person] AS score,
    frame.boxes[4 * person - 3] AS x1, frame.boxes[4 * person - 2] AS y1,
    frame.boxes[4 * person - 1] AS x2, frame.boxes[4 * person] AS y2,
    frame.keypoints[(person - 1) * one.numbers + 1 : person * one.numbers] AS keypoints_xyc
{frames}
CROSS JOIN LATERAL (SELECT cardinality(frame.keypoints) / nullif(frame.people, 0) AS numbers) AS one
CROSS JOIN LATERAL generate_series(1, frame.people) AS person;
"""

# OFFSET 0: a person's keypoints are cut out once and not once for each number, which took 7 s and not 0.1 s for 4,000
# people of 133 keypoints.
KEYPOINT = """
CREATE VIEW {name} AS
SELECT {run}, person - 1 AS person, number - 1 AS number,
    model.spec -> 'keypoint_names' ->> (number - 1) AS name,
    own.xyc[3 * number - 2] AS x, own.xyc[3 * number - 1] AS y, own.xyc[3 * number] AS confidence
{frames}
CROSS JOIN LATERAL (SELECT cardinality(frame.keypoints) / nullif(frame.people, 0) AS numbers) AS one
CROSS JOIN LATERAL generate_series(1, frame.people) AS person
CROSS JOIN LATERAL (
    SELECT frame.keypoints[(person - 1) * one.numbers + 1 : person * one.numbers] AS xyc OFFSET 0
) AS own
CROSS JOIN LATERAL generate_series(1, cardinality(own.xyc) / 3) AS number;
"""

CURRENT_FRAME = f"""
CREATE VIEW current_frame AS SELECT {RUN_COLUMNS}, frame.people, frame.missing {OF_CURRENT_RUNS};
"""

RUN_SUMMARY = """
CREATE VIEW run_summary AS
SELECT run.id AS run_id, run.video_id, video.name AS video, team.name AS team, model.name AS model,
    model.fingerprint, model.precision, run.state, run.reason, run.created_at, run.started_at, run.finished_at,
    round(extract(epoch FROM run.finished_at - run.started_at), 2)::double precision AS took_s,
    coalesce((run.summary ->> 'video_s')::numeric, round(
        (video.last_pts - video.first_pts)::numeric * video.time_base_num / video.time_base_den
        * video.frames / greatest(video.frames - 1, 1), 3  -- the last frame is shown, too
    ))::double precision AS video_s,
    video.frames,
    (run.summary ->> 'frames_missing')::integer AS frames_missing,
    (run.summary ->> 'frames_with_people')::integer AS frames_with_people,
    (run.summary ->> 'most_people')::integer AS most_people,
    (run.summary ->> 'poses')::integer AS poses,
    run.id IS NOT DISTINCT FROM video.current_run_id AS is_current
FROM run
JOIN video ON video.id = run.video_id
JOIN team ON team.id = video.team_id
JOIN model ON model.fingerprint = run.model_fingerprint;
"""

ALL_RUNS = "of every run that has not failed or been cancelled, with the frames so far of one that is running"
CURRENT = "of each video's current run: the newest that is done"
# The same content uploaded under another name is the same video.
NAMES = "ALTER TABLE video ADD COLUMN other_names text[] NOT NULL DEFAULT '{}'"

VIEWS = {
    "pose": f"One row per person per frame, {ALL_RUNS}",
    "keypoint": f"One row per keypoint per person per frame, {ALL_RUNS}",
    "current_pose": f"One row per person per frame, {CURRENT}",
    "current_keypoint": f"One row per keypoint per person per frame, {CURRENT}",
    "current_frame": f"One row per frame, with people or without, {CURRENT}",
    "run_summary": "One row per run, in every state",
}
COLUMNS = {
    "run_id": "the run: one analysis of one video by one model",
    "video_id": "the video; two videos may have the same name",
    "video": "the video's name",
    "team": "the team that owns the video",
    "model": "the model's name",
    "fingerprint": "identifies everything about the model that determines the poses",
    "precision": "fp32, fp16 or bf16",
    "state": "waiting, queued, running, finishing, done, failed or cancelled",
    "reason": "why the run failed or was cancelled",
    "created_at": "when the run was requested",
    "started_at": "when a worker took its first frames",
    "finished_at": "when the run ended",
    "took_s": "seconds from started_at to finished_at",
    "video_s": "the video's length in seconds",
    "frames": "frames of the video",
    "frames_missing": "frames that could not be analysed",
    "frames_with_people": "frames with at least one person",
    "most_people": "the most people in one frame",
    "poses": "people in all frames together",
    "is_current": "whether it is the video's current run",
    "frame": "the frame's number in display order, from 0",
    "pts": "the frame's time as the video has it, in units of its time base",
    "time_s": "the frame's time in seconds, on the video's own clock; the first frame need not be at 0",
    "people": "people in the frame",
    "missing": "why the frame could not be analysed; NULL where it was",
    "person": "the person's number within its frame, from 0, best score first; other frames may differ",
    "score": "how sure the model is of the person, 0 to 1",
    "x1": "left edge of the person's box, in pixels of the frame as displayed",
    "y1": "upper edge of the box, in pixels from the top",
    "x2": "right edge of the box, in pixels",
    "y2": "lower edge of the box, in pixels",
    "keypoints_xyc": "x, y and confidence of each keypoint in turn, as in the view keypoint",
    "number": "the keypoint's number, from 0",
    "name": "the keypoint's name, such as left_ankle",
    "x": "in pixels of the frame as displayed, from the left",
    "y": "in pixels of the frame as displayed, from the top",
    "confidence": "how sure the model is of the keypoint, 0 to 1",
}


def make_views() -> None:
    """Create the views, and say of each column what it is."""
    for prefix, frames in (("", OF_RUNS), ("current_", OF_CURRENT_RUNS)):
        op.execute(POSE.format(name=f"{prefix}pose", run=RUN_COLUMNS, frames=frames))
        op.execute(KEYPOINT.format(name=f"{prefix}keypoint", run=RUN_COLUMNS, frames=frames))
    op.execute(CURRENT_FRAME)
    op.execute(RUN_SUMMARY)
    for view, words in VIEWS.items():
        op.execute(f"COMMENT ON VIEW {view} IS {quoted(words)}")
        columns = op.get_bind().exec_driver_sql(f"SELECT * FROM {view} LIMIT 0").keys()
        for column in columns:
            op.execute(f"COMMENT ON COLUMN {view}.{column} IS {quoted(COLUMNS[column])}")


def quoted(words: str) -> str:
    """A string literal of SQL."""
    return "'" + words.replace("'", "''") + "'"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    # In the order in which workers lock them, before the first is changed.
    op.execute("LOCK TABLE chunk, frame, run, video, team, model IN ACCESS EXCLUSIVE MODE")
    op.execute(FRAME)
    op.execute(NAMES)
    op.execute(QUEUED)
    op.execute(STATISTICS)
    make_views()
