"""Readers during many promotions: one statement sees one run of a video, and so does REPEATABLE READ."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from pipeline.db.engine import transaction
from pipeline.db.promotions import lock_current, make_current
from pipeline.services.promote import promote
from pipeline.services.system import System
from tests.support.harness import run_of, sql
from tests.support.versions import make_run, make_video, people

FRAMES = 20
VIDEOS = 2

#: What a reader sees in one statement: per video, how many runs, frames and people there are. A person of the second
#: model has a score that no other has.
ONE_STATEMENT = {
    "current_frame": (
        "SELECT video, count(DISTINCT run_id), count(*), count(DISTINCT frame), min(people), max(people) "
        "FROM current_frame GROUP BY video ORDER BY video"
    ),
    "current_pose": (
        "SELECT video, count(DISTINCT run_id), count(*) / max(person + 1), count(DISTINCT frame), min(model), "
        "max(model) FROM current_pose GROUP BY video ORDER BY video"
    ),
    "current_keypoint": (
        "SELECT video, count(DISTINCT run_id), count(*) / 17 / max(person + 1), count(DISTINCT frame), min(model), "
        "max(model) FROM current_keypoint GROUP BY video ORDER BY video"
    ),
}


@pytest.fixture
def runs(system: System) -> list[tuple[UUID, UUID]]:
    """Of each of two videos a run that found one person in every frame, and one that found two."""
    made = []
    for number in range(VIDEOS):
        video_id = make_video(system, f"cam{number}.mp4", frames=FRAMES)
        one = make_run(system, video_id, lambda _: people(100), model="one")
        made.append((one, make_run(system, video_id, lambda _: people(100, 400), model="two")))
    return made


def url_of(system: System) -> str:
    return system.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.mark.parametrize("promotions", [250, pytest.param(1000, marks=pytest.mark.soak)])
def test_no_reader_sees_two_runs_of_a_video_nor_none(
    system: System, runs: list[tuple[UUID, UUID]], promotions: int
) -> None:
    """Three readers ask each view again and again; the fourth asks several statements in one transaction."""
    over = threading.Event()
    videos = [run_of(system, one).video_id for one, _ in runs]
    seen: Counter[tuple[object, ...]] = Counter()

    def read(view: str) -> int:
        asked = 0
        with psycopg.connect(url_of(system), autocommit=True) as connection:
            while not over.is_set():
                rows = connection.execute(ONE_STATEMENT[view].encode()).fetchall()
                assert [row[:4] for row in rows] == [(f"cam{n}.mp4", 1, FRAMES, FRAMES) for n in range(VIDEOS)], rows
                assert all(low == high for *_, low, high in rows), rows
                seen.update((view, row[0], row[4]) for row in rows)
                asked += 1
        return asked

    def read_repeatably() -> int:
        asked = 0
        with psycopg.connect(url_of(system)) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            while not over.is_set():
                with connection.transaction():
                    first = connection.execute("SELECT DISTINCT video, run_id FROM current_frame ORDER BY 1").fetchall()
                    for view in ONE_STATEMENT:
                        query = f"SELECT DISTINCT video, run_id FROM {view} ORDER BY 1"
                        assert connection.execute(query.encode()).fetchall() == first
                assert len(first) == VIDEOS
                seen.update(("repeatable read", *row) for row in first)
                asked += 1
        return asked

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, view) for view in ONE_STATEMENT] + [pool.submit(read_repeatably)]
        try:
            for number in range(promotions):
                run_id, video_id = runs[number % VIDEOS][number // VIDEOS % 2], videos[number % VIDEOS]
                with transaction(system.engine) as connection:
                    lock_current(connection, video_id)
                    make_current(connection, video_id, run_id, by="ann", reason="test")
                if any(reader.done() for reader in readers):
                    break
        finally:
            over.set()
        asked = [reader.result() for reader in readers]
    assert min(asked) >= 10, asked
    assert len(seen) == 4 * 2 * VIDEOS, "each reader saw both runs of each video"
    written = sql(system, "SELECT count(*) FROM promotion WHERE by = 'ann'")
    assert written == [(promotions,)]


def test_two_statements_of_a_read_committed_transaction_may_see_two_runs(
    system: System, runs: list[tuple[UUID, UUID]]
) -> None:
    """Why docs/database.md says REPEATABLE READ: the default does not keep the run between statements."""
    (one, two), asked = runs[0], "SELECT DISTINCT run_id FROM current_frame WHERE video = 'cam0.mp4'"
    with psycopg.connect(url_of(system)) as connection, psycopg.connect(url_of(system)) as repeatable:
        repeatable.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert connection.execute(asked).fetchall() == repeatable.execute(asked).fetchall() == [(two,)]
        promote(system, str(one), team=None, by="ann")
        assert connection.execute(asked).fetchall() == [(one,)]
        assert repeatable.execute(asked).fetchall() == [(two,)]
