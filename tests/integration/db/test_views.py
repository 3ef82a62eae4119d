"""The views for people: which runs are in them, by which names, and that one video's rows cost one video's frames."""

from __future__ import annotations

import json
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text

from pipeline.core.keypoints import COCO_17
from pipeline.core.poses import FramePoses
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, copy_frames, encode_frames
from pipeline.db.readers import VIEWS
from pipeline.services.system import System
from tests.support.harness import sql

OF_FRAMES = ("pose", "keypoint", "current_pose", "current_keypoint", "current_frame")
IN_EVERY_ONE = ["run_id", "video", "team", "model", "state", "frame", "pts", "time_s"]
POSES = [*IN_EVERY_ONE, "person", "score", "x1", "y1", "x2", "y2", "keypoints_xyc"]
KEYPOINTS = [*IN_EVERY_ONE, "person", "number", "name", "x", "y", "confidence"]
COLUMNS = {
    "pose": POSES,
    "current_pose": POSES,
    "keypoint": KEYPOINTS,
    "current_keypoint": KEYPOINTS,
    "current_frame": [*IN_EVERY_ONE, "people", "missing"],
    "run_summary": [
        *("run_id", "video_id", "video", "team", "model", "fingerprint", "precision", "state", "reason"),
        *("created_at", "started_at", "finished_at", "took_s", "video_s"),
        *("frames", "frames_missing", "frames_with_people", "most_people", "poses", "is_current", "tags"),
    ],
}


def people(count: int) -> FramePoses:
    """So many people; coordinates say whose they are: box and keypoints of person 1 begin at 100."""
    person = np.arange(count, dtype=np.float32)[:, None] * 100
    boxes = person + np.arange(4, dtype=np.float32)
    keypoints = (person + np.arange(51, dtype=np.float32)).reshape(count, 17, 3) if count else np.zeros((0, 0, 3))
    return FramePoses(np.full(count, 0.5, np.float32), boxes, keypoints)


def fill(system: System, videos: int = 2, frames: int = 6, *, analyse_after: int | None = None) -> None:
    """Two teams, each with so many videos `cam1.mp4`, …, each analysed by two models and current by the second.

    A second of each video has 30 frames, and its clock begins at 10 s. Frame 0 is empty, frame 1 missing. The database
    takes its statistics after so many runs, by default never.
    """
    spec = json.dumps({"keypoint_names": list(COCO_17.names)})
    for statement in (
        "INSERT INTO team (name) VALUES ('first'), ('second')",
        f"INSERT INTO model (fingerprint, name, spec) VALUES ('f1', 'older', '{spec}'), ('f2', 'newer', '{spec}')",
        (
            "INSERT INTO video (team_id, name, state, bucket, object_key, owned, time_base_num, time_base_den, "
            f"frames, first_pts, last_pts) SELECT team.id, 'cam' || n || '.mp4', 'ready', 'b', 'k', true, 1, 30, "
            f"{frames}, 300, {299 + frames} FROM team, generate_series(1, {videos}) AS n"
        ),
        (
            "INSERT INTO run (video_id, team_id, model_fingerprint, precision, state) "
            "SELECT video.id, team_id, fingerprint, precision, 'done' FROM video, model"
        ),
        "UPDATE video SET current_run_id = (SELECT id FROM run WHERE video_id = video.id AND model_fingerprint = 'f2')",
    ):
        sql(system, statement.replace(":", r"\:"))
    rows = [FrameRow(0, 300, FramePoses.empty()), FrameRow(1, 301, FramePoses.empty(), "damaged")]
    rows += [FrameRow(number, 300 + number, people(1 + number % 2)) for number in range(2, frames)]
    with transaction(system.engine) as connection:
        for number, (run_id,) in enumerate(connection.execute(text("SELECT id FROM run")).all()):
            if number == analyse_after:
                connection.execute(text("ANALYZE"))
            copy_frames(connection, encode_frames(run_id, 0, rows))


def run_of_video(system: System, video: str = "cam1.mp4", team: str = "first", model: str = "newer") -> UUID:
    asked = "SELECT run_id FROM run_summary WHERE (video, team, model) = (:v, :t, :m)"
    [(run_id,)] = sql(system, asked, v=video, t=team, m=model)
    assert isinstance(run_id, UUID)
    return run_id


def test_the_columns_are_those_of_the_files_and_each_says_what_it_is(system: System) -> None:
    columns = sql(
        system,
        "SELECT attrelid::regclass::text, attname, col_description(attrelid, attnum) FROM pg_attribute "
        "JOIN pg_class ON pg_class.oid = attrelid WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace "
        "ORDER BY attrelid, attnum",
    )
    found: dict[object, list[object]] = {}
    for view, column, words in columns:
        found.setdefault(view, []).append(column)
        assert words, (view, column)
    assert found == COLUMNS
    assert set(found) == set(VIEWS)
    for view in VIEWS:
        assert sql(system, f"SELECT obj_description('{view}'::regclass) IS NULL") == [(False,)]


def test_a_pose_has_the_numbers_of_its_person(system: System) -> None:
    fill(system, videos=1)
    run_id = run_of_video(system)
    rows = sql(system, "SELECT frame, pts, time_s, person, score, x1, y1, x2, y2 FROM pose WHERE run_id = :id "
               "AND frame >= 4 ORDER BY frame, person", id=run_id)  # fmt: skip
    assert rows == [
        (4, 304, 304 / 30, 0, 0.5, 0, 1, 2, 3),
        (5, 305, 305 / 30, 0, 0.5, 0, 1, 2, 3),
        (5, 305, 305 / 30, 1, 0.5, 100, 101, 102, 103),
    ]
    [(xyc,)] = sql(system, "SELECT keypoints_xyc FROM pose WHERE run_id = :id AND frame = 5 AND person = 1", id=run_id)
    assert xyc == list(range(100, 151))
    same = "SELECT number, name, x, y, confidence FROM current_keypoint WHERE run_id = :id AND frame = 5 AND person = 1"
    assert sql(system, same + " ORDER BY number", id=run_id) == [
        (number, name, 100 + 3 * number, 101 + 3 * number, 102 + 3 * number)
        for number, name in enumerate(COCO_17.names)
    ]


def test_current_views_have_one_run_of_each_video_and_the_others_all(system: System) -> None:
    fill(system)
    for view in OF_FRAMES:
        models = sql(system, f"SELECT DISTINCT model FROM {view} ORDER BY 1")
        assert models == [("newer",)] if view.startswith("current") else [("newer",), ("older",)], view
        assert len(sql(system, f"SELECT DISTINCT video, team FROM {view}")) == 4
    per_video = "SELECT count(*), count(*) FILTER (WHERE people = 0), count(missing) FROM current_frame"
    assert sql(system, per_video + " GROUP BY run_id") == [(6, 2, 1)] * 4


@pytest.mark.parametrize(
    ("state", "is_in"), [("running", True), ("finishing", True), ("failed", False), ("cancelled", False)]
)
def test_a_run_that_failed_or_was_cancelled_is_in_no_view_of_frames(system: System, state: str, is_in: bool) -> None:
    fill(system, videos=1)
    run_id = run_of_video(system, model="older")
    sql(system, "ALTER TABLE run DISABLE TRIGGER run_state")
    sql(system, "UPDATE run SET state = :state WHERE id = :id", state=state, id=run_id)
    for view in OF_FRAMES:
        in_all = is_in and not view.startswith("current")
        assert bool(sql(system, f"SELECT 1 FROM {view} WHERE run_id = :id LIMIT 1", id=run_id)) is in_all, view
    assert sql(system, "SELECT state, is_current FROM run_summary WHERE run_id = :id", id=run_id) == [(state, False)]


def test_a_summary_has_what_is_known_of_a_run_in_every_state(system: System) -> None:
    fill(system, videos=1)
    counted = {"frames": 6, "frames_missing": 1, "frames_with_people": 4, "most_people": 2, "poses": 6, "video_s": 0.2}
    done, other = run_of_video(system), run_of_video(system, model="older")
    sql(
        system,
        "UPDATE run SET summary = CAST(:it AS jsonb), started_at = created_at, "
        "finished_at = created_at + interval '2500 ms' WHERE id = :id",
        it=json.dumps(counted),
        id=done,
    )
    asked = (
        "SELECT is_current, took_s, video_s, frames, frames_missing, frames_with_people, most_people, poses, precision "
        "FROM run_summary WHERE run_id = :id"
    )
    assert sql(system, asked, id=done) == [(True, 2.5, 0.2, 6, 1, 4, 2, 6, "fp32")]
    assert sql(system, asked, id=other) == [(False, None, 0.2, 6, None, None, None, None, "fp32")]


#: What a person asks of one video or run.
QUESTIONS = [
    "SELECT * FROM current_pose WHERE video = 'cam7.mp4' AND time_s BETWEEN 10 AND 12",
    "SELECT * FROM current_pose WHERE video = 'cam7.mp4' AND team = 'first'",
    "SELECT * FROM current_keypoint WHERE video = 'cam7.mp4' AND name = 'left_ankle' AND person = 0",
    "SELECT * FROM current_frame WHERE video = 'cam7.mp4' AND people = 0",
    "SELECT * FROM pose WHERE video = 'cam7.mp4'",
    "SELECT * FROM pose WHERE run_id = '{run_id}'",
    "SELECT * FROM pose WHERE run_id = '{run_id}' AND frame = 7",
    "SELECT * FROM keypoint WHERE run_id = '{run_id}' AND name = 'nose'",
    (
        "SELECT * FROM pose WHERE run_id = (SELECT run_id FROM run_summary WHERE (video, team, model) = ('cam7.mp4', "
        "'first', 'newer'))"
    ),
]


@pytest.mark.parametrize("analysed", [None, 2, 99], ids=["without statistics", "with stale ones", "with statistics"])
def test_what_is_asked_of_one_video_reads_the_frames_of_its_runs_alone(system: System, analysed: int | None) -> None:
    fill(system, videos=25, frames=200, analyse_after=analysed)
    for question in QUESTIONS:
        asked = question.format(run_id=run_of_video(system, "cam7.mp4"))
        plan = "\n".join(str(line) for (line,) in sql(system, f"EXPLAIN {asked}"))
        assert "Index Scan using frame_pkey" in plan or "Bitmap Index Scan on frame_pkey" in plan, plan
        assert "Seq Scan on frame" not in plan, plan
        assert sql(system, asked), question
