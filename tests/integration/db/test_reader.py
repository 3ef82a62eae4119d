"""The read-only user reads the views for people, and can neither read a table, nor write, nor make anything."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from pipeline.cli.main import main
from pipeline.db import readers
from pipeline.db.migrate import upgrade
from pipeline.db.readers import RESTRICTIONS, VIEWS
from pipeline.services.system import System
from pipeline.settings import Settings, load_settings
from tests.support.harness import environment, sql
from tests.support.paths import ROOT

REFUSED = {"42501", "55000", "25006"}  # no privilege; a view that cannot be written to; a read-only transaction


def reader_url(home: Path, database: str | None = None) -> str:
    """The read-only user's URL in a stack's own database, or in another one of its server."""
    secret = load_settings(home).database_reader_url
    assert secret is not None
    url = make_url(secret.get_secret_value())
    return url.set(database=database or url.database).render_as_string(hide_password=False)


def test_the_reader_reads_every_view_and_no_table(servers: Path, system: System) -> None:
    tables = [name for (name,) in sql(system, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    assert {"frame", "worker", "video", "alembic_version"} < set(tables)
    assert {name for (name,) in sql(system, "SELECT viewname FROM pg_views WHERE schemaname = 'public'")} == set(VIEWS)
    with psycopg.connect(reader_url(servers, system.engine.url.database), autocommit=True) as connection:
        for view in VIEWS:
            assert connection.execute(f"SELECT * FROM {view}").fetchall() == []  # type: ignore[arg-type]
        for table in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT 1 FROM {table}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (x int)",
        "CREATE TEMPORARY TABLE mine (x int)",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "SELECT lo_create(0)",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
        "SET temp_file_limit = -1",
        "SELECT lo_creat(0)",
        "SELECT lo_from_bytea(0, '')",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "INSERT INTO team (name) VALUES ('mine')",
        "INSERT INTO run_summary (state) VALUES ('done')",
        "UPDATE run SET state = 'cancelled'",
        "UPDATE run_summary SET state = 'cancelled'",
        "DELETE FROM frame",
        "DELETE FROM current_frame",
        "TRUNCATE frame",
        "DROP VIEW pose",
        "ALTER ROLE poseline PASSWORD 'mine'",
        "SET ROLE poseline",
        "SELECT last_error FROM chunk",
    ],
)
def test_the_reader_changes_and_makes_nothing_though_it_asks_for_a_transaction_that_may(
    servers: Path, statement: str
) -> None:
    with psycopg.connect(reader_url(servers), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement)  # type: ignore[arg-type]
        assert caught.value.sqlstate in REFUSED, caught.value


def test_the_reader_is_read_only_from_the_start_and_stays_in_its_database(servers: Path) -> None:
    with psycopg.connect(reader_url(servers)) as connection:
        asked = "SELECT current_setting('transaction_read_only'), current_setting('statement_timeout'), rolconnlimit"
        row = connection.execute(asked + " FROM pg_roles WHERE rolname = current_user").fetchone()  # type: ignore[arg-type]
        assert row == ("on", "1min", 20)
    for other in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(reader_url(servers, other))


def test_a_server_without_a_reader_is_upgraded_all_the_same(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    sql(system, "DROP SCHEMA public CASCADE")
    sql(system, "CREATE SCHEMA public")
    monkeypatch.setattr(readers, "READER", "nobody_of_this_name")
    upgrade(system.settings.database_url.get_secret_value())
    granted = "SELECT 1 FROM information_schema.table_privileges WHERE grantee = 'poseline_reader'"
    assert sql(system, granted) == []
    monkeypatch.undo()
    upgrade(system.settings.database_url.get_secret_value())
    assert len(sql(system, granted)) == len(VIEWS)


def test_the_manual_gives_every_statement_that_restricts_the_reader() -> None:
    manual = " ".join((ROOT / "docs" / "operations.md").read_text().split())
    assert not [statement for statement in RESTRICTIONS if f"{' '.join(statement.split())};" not in manual]


def test_db_url_prints_the_reader_s_url_or_says_how_to_get_one(
    settings: Settings, servers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--home", str(servers), "db", "url", "--read-only"]) == 0
    url = capsys.readouterr().out.strip()
    assert url == reader_url(servers)
    assert main(["--home", str(servers), "db", "url", "--read-only", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"url": url, "read_only": True}
    assert main(["--home", str(servers), "db", "url"]) == 0
    assert "poseline:" in capsys.readouterr().out
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    assert main(["db", "url", "--read-only"]) == 2
    line = capsys.readouterr().err.strip()
    assert "POSELINE_DATABASE_READER_URL is not set" in line
    assert "docs/operations.md" in line
    assert "\n" not in line
    monkeypatch.setenv("POSELINE_DATABASE_READER_URL", url)
    assert main(["db", "url", "--read-only"]) == 0
    assert capsys.readouterr().out.strip() == url
