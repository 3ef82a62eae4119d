"""docs/database.md says what the database has: every view, column and table, and its questions have answers."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from pipeline.db.readers import VIEWS
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.placement import Placement
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.submit import submit_video
from pipeline.services.system import System
from tests.integration.db.test_reader import reader_url
from tests.support.harness import run_of, sql
from tests.support.paths import ROOT

PAGE = "\n" + (ROOT / "docs" / "database.md").read_text()
QUESTIONS = re.findall(r"\n(.*?:|.*?\?.*?)\n\n```sql\n(.*?)```", PAGE, re.S)

#: A second model's run of the same video, which finds one person less in every third frame.
SECOND_MODEL = (
    "INSERT INTO model (fingerprint, name, spec) SELECT 'f2', 'rtmo-m', spec FROM model",
    (
        "INSERT INTO run (video_id, team_id, model_fingerprint, precision, state, summary, started_at, finished_at) "
        "SELECT video_id, team_id, 'f2', precision, state, summary, started_at, finished_at FROM run "
        "WHERE state = 'done'"
    ),
    (
        "INSERT INTO frame SELECT two.id, frame, chunk_idx, pts, people - (frame % 3 = 0 AND people > 0)::int, "
        "missing, scores, boxes, keypoints FROM frame JOIN run AS two ON two.model_fingerprint = 'f2'"
    ),
)


def rows_below(heading: str) -> list[list[str]]:
    """The cells of the first table below a line of the page, without its head."""
    below = PAGE.split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", below, re.M)
    assert table is not None, heading
    return [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in table[0].splitlines()[2:]]


def test_every_view_has_its_columns_on_the_page_with_types_and_meanings(system: System) -> None:
    shared = rows_below("Every view but `run_summary` begins with these:")
    on_page = {"run_summary": rows_below("### `run_summary`"), "current_frame": rows_below("### `current_frame`")}
    for name in ("pose", "keypoint"):
        on_page[name] = on_page[f"current_{name}"] = rows_below(f"### `{name}` and `current_{name}`")
    assert set(on_page) == set(VIEWS)
    for view, own in on_page.items():
        held = sql(
            system,
            "SELECT '`' || attname || '`', format_type(atttypid, atttypmod), col_description(attrelid, attnum) "
            f"FROM pg_attribute WHERE attrelid = '{view}'::regclass AND attnum > 0 ORDER BY attnum",
        )
        assert [list(row) for row in held] == (own if view == "run_summary" else shared + own), view
    listed = " ".join(row[0] for row in rows_below("# The database"))
    assert set(re.findall(r"`(\w+)`", listed)) == set(VIEWS)


def test_every_table_is_on_the_page_and_no_other(system: System) -> None:
    tables = sql(system, "SELECT '`' || tablename || '`' FROM pg_tables WHERE schemaname = 'public'")
    assert {row[0] for row in rows_below("## Tables")} == {name for (name,) in tables}


@pytest.fixture
def analysed(system: System, short_clip: Path, tmp_path: Path) -> System:
    """A video of the first team that two models analysed, and an upload that was refused."""
    (tmp_path / "cam03.mp4").write_bytes(short_clip.read_bytes())
    tags = {"season": "2026", "match": "final"}
    asked = submit_video(system, str(tmp_path / "cam03.mp4"), "first team", BUNDLED_MODEL, tags=tags)
    assert asked.run is not None
    run_id = asked.run.run_id
    ingest_video(system, asked.video_id, "w")
    models = ModelCache(system, Placement("cpu"))
    for idx in range(run_of(system, run_id).chunks_total or 0):
        detect_chunk(system, models, run_id, idx, "w")
    finish_run(system, run_id, "w")
    for statement in SECOND_MODEL:
        sql(system, statement)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(Exception, match="is empty"):
        submit_video(system, str(tmp_path / "empty.mp4"), "first team", BUNDLED_MODEL)
    return system


def test_every_question_of_the_page_has_an_answer_for_the_reader(servers: Path, analysed: System) -> None:
    assert len(QUESTIONS) == PAGE.count("```sql") >= 5
    with psycopg.connect(reader_url(servers, analysed.engine.url.database)) as connection:
        answers = {words: connection.execute(query).fetchall() for words, query in QUESTIONS}
    assert all(answers.values()), [words for words, rows in answers.items() if not rows]
    knee = next(rows for words, rows in answers.items() if "angle" in words)
    assert all(0 <= degrees <= 180 for _, degrees in knee)
    seconds = next(rows for words, rows in answers.items() if "nobody" in words)
    assert sum(frames for _, frames, _ in seconds) == 120
