"""Migrate a database to this version's schema."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from pipeline.db.engine import advisory_key, build_engine, transaction
from pipeline.db.readers import grant_views
from pipeline.errors import PoselineError, SchemaOutdated

MIGRATION_LOCK = advisory_key("poseline.migrations")


def _config() -> Config:
    found = find_spec("migrations")
    if found is None or found.origin is None:
        raise PoselineError("the migrations are not installed; install Poseline again")
    config = Config()
    config.set_main_option("script_location", str(Path(found.origin).parent).replace("%", "%%"))
    return config


def upgrade(database_url: str) -> str:
    """Apply the missing migrations in one transaction, one process at a time. Returns the revision reached.

    The read-only user, if the server has one, may then read the views for people.

    Raises:
        ServiceUnavailable: Postgres does not answer.
        SchemaOutdated: a later version of Poseline made the tables.
    """
    engine = build_engine(database_url, pool_size=1, application="poseline-migrate")
    config = _config()
    try:
        with transaction(engine) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            _check_known(current_revision(connection), ScriptDirectory.from_config(config))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            grant_views(connection)
            return current_revision(connection) or "none"
    finally:
        engine.dispose()


def current_revision(connection: Connection) -> str | None:
    """The revision of the database, None where it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def check_revision(connection: Connection) -> None:
    """Check that the database has the schema of this code.

    Raises:
        SchemaOutdated: the revisions differ.
    """
    scripts = ScriptDirectory.from_config(_config())
    head, at = scripts.get_current_head(), current_revision(connection)
    _check_known(at, scripts)
    if at != head:
        raise SchemaOutdated(
            f"the database is at schema {at or 'none'}, this Poseline needs {head}: run `poseline db upgrade`"
        )


def _check_known(revision: str | None, scripts: ScriptDirectory) -> None:
    if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
        raise SchemaOutdated(
            f"the database is at schema {revision}, which this Poseline does not know (its latest is "
            f"{scripts.get_current_head()}): install the version that made it"
        )
