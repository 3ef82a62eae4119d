"""The migrated schema is the one that the code describes, and guards its states itself."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError

from pipeline.core.states import TRANSITIONS
from pipeline.db.engine import transaction
from pipeline.db.migrate import SchemaOutdated, check_revision, upgrade
from pipeline.db.run_search import select_runs
from pipeline.db.tables import metadata
from pipeline.services.system import System
from pipeline.services.teams import limits_of
from tests.conftest import admin_url
from tests.support.harness import export_bytes, sql
from tests.support.paths import DATA


def test_migrations_make_what_the_tables_say(system: System) -> None:
    with system.engine.connect() as connection:
        check_revision(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_many_may_upgrade_at_once(system: System) -> None:
    url = system.settings.database_url.get_secret_value()
    sql(system, "DROP SCHEMA public CASCADE")
    sql(system, "CREATE SCHEMA public")
    with pytest.raises(SchemaOutdated, match="poseline db upgrade"), transaction(system.engine) as connection:
        check_revision(connection)
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(upgrade, [url] * 4))) == 1


def test_the_database_holds_the_same_transition_table(system: System) -> None:
    held = {(kind, a, b) for kind, a, b in sql(system, "SELECT kind, from_state, to_state FROM state_transition")}
    assert held == {
        (kind.__name__.removesuffix("State").lower(), str(a), str(b))
        for kind, table in TRANSITIONS.items()
        for a, targets in table.items()
        for b in targets
    }


def test_the_database_refuses_any_other_transition(system: System) -> None:
    sql(system, "INSERT INTO team (name) VALUES ('t')")
    sql(
        system,
        "INSERT INTO video (team_id, name, state, bucket, object_key, owned) "
        "SELECT id, 'v', 'uploading', 'b', 'k', true FROM team",
    )
    with pytest.raises(IntegrityError, match="video may not go from uploading to ready"):
        sql(system, "UPDATE video SET state = 'ready'")
    with transaction(system.engine) as connection:
        connection.execute(text("UPDATE video SET state = 'stored'"))


#: Two runs that version had planned: no worker has begun the first, and one has released a chunk of the second.
_PLANNED = """
INSERT INTO public.run (id, video_id, model_fingerprint, state, params, started_at, chunks_total, chunks_pending)
SELECT id, video_id, model_fingerprint, 'running', params::jsonb, now(), 2, 2
FROM (VALUES ('00000000-0000-0000-0000-000000000001'::uuid, '{"no": 1}'),
             ('00000000-0000-0000-0000-000000000002', '{"no": 2}')) AS made (id, params),
     (SELECT video_id, model_fingerprint FROM public.run WHERE state = 'done') AS done;
INSERT INTO public.chunk (run_id, idx, state, first_frame, frames, start_pts, end_pts, seek_pts, started_at)
SELECT id, idx, CASE WHEN idx = 0 THEN 'queued' ELSE 'ready' END, idx, 1, idx, idx + 1, 0,
       CASE WHEN params ->> 'no' = '2' AND idx = 1 THEN timestamptz '2026-11-01 12:00Z' END
FROM public.run CROSS JOIN generate_series(0, 1) AS idx WHERE params ? 'no';
"""


@pytest.fixture
def old_system(servers: Path, system: System) -> System:
    """A database that Poseline made at schema 0005, with runs that are done, failed and cancelled."""
    dump = gzip.decompress((DATA / "database-at-0005.sql.gz").read_bytes()).decode()
    sql(system, "DROP SCHEMA public CASCADE")
    sql(system, "CREATE SCHEMA public")
    name = system.engine.url.database
    url = make_url(admin_url(servers)).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(dump.encode())
        own = '{"max_video_s": 60, "max_video_pixels": 100, "max_cpu_s_per_frame": 2}'
        connection.execute("UPDATE public.team SET limits = %s WHERE name = 'second'", [own])
        connection.execute(_PLANNED)
    return system


def test_a_database_made_before_is_migrated_in_place_with_its_runs_readable(old_system: System, tmp_path: Path) -> None:
    system = old_system
    upgrade(system.settings.database_url.get_secret_value())
    with system.engine.connect() as connection:
        check_revision(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    with transaction(system.engine) as connection:
        every = select_runs(connection, team=None, limit=10)
    planned = {run.id.int: run for run in every if run.id.int < 3}
    assert {number: (run.state, run.started_at) for number, run in planned.items()} == {
        1: ("queued", None),
        2: ("running", datetime(2026, 11, 1, 12, tzinfo=UTC)),
    }
    runs = {run.video: run for run in every if run not in planned.values()}
    assert {name: (run.state, run.team) for name, run in runs.items()} == {
        "demo.mp4": ("done", "club"),
        "not-a-video.mp4": ("failed", "second"),
        "gone.mp4": ("failed", "second"),
        "cancel.mp4": ("cancelled", "second"),
    }
    assert runs["demo.mp4"].started_at is not None
    assert runs["demo.mp4"].is_current
    became = "SELECT run_id, at, by, reason FROM promotion"
    assert sql(system, became) == [
        (runs["demo.mp4"].id, runs["demo.mp4"].finished_at, "rule", "the newest that was done")
    ]
    first = "SELECT min(started_at) FROM chunk WHERE run_id = :id"
    assert sql(system, first, id=runs["demo.mp4"].id) == [(runs["demo.mp4"].started_at,)]
    with pytest.raises(IntegrityError, match="run may not go from running to queued"):
        sql(system, "UPDATE run SET state = 'queued' WHERE state = 'running'")
    assert sql(system, "SELECT DISTINCT state FROM chunk WHERE frames > 1 ORDER BY 1") == [("cancelled",), ("done",)]
    assert sql(system, "SELECT sum(expirations) FROM chunk") == [(0,)]
    own = limits_of(system, "second")
    assert (own.max_duration_s, own.max_pixels, own.max_cpu_s_per_frame) == (60, 100, 2)
    before = gzip.decompress((DATA / "demo-export-at-0005.jsonl.gz").read_bytes())
    assert export_bytes(system, runs["demo.mp4"].id, tmp_path / "poses.jsonl") == before
