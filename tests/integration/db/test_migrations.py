"""The migrated schema is the one that the code describes, and guards its states itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from pipeline.core.states import TRANSITIONS
from pipeline.db.engine import transaction
from pipeline.db.migrate import SchemaOutdated, check_revision, upgrade
from pipeline.db.tables import metadata
from pipeline.services.system import System
from tests.support.harness import sql


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
