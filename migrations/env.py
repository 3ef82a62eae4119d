"""Alembic's entry: online only, on the connection that `pipeline.db.migrate` holds, or on the configured database."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from pipeline.db.engine import build_engine
from pipeline.db.tables import metadata
from pipeline.local.discovery import find_home
from pipeline.settings import load_settings


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    settings = load_settings(find_home().path)
    with build_engine(settings.database_url.get_secret_value()).begin() as opened:
        _migrate(opened)
