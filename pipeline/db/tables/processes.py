"""Workers, what went wrong with them, and which states may follow."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    Column,
    Integer,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY

from pipeline.db.tables.columns import metadata, timestamp

worker = Table(
    "worker",
    metadata,
    Column("name", Text, primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("device", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("engine", Text, nullable=False, server_default=""),
    Column("driver", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("golden_ms", REAL),
    Column("precisions", ARRAY(Text), nullable=False, server_default="{fp32}"),
    Column("checked_at", timestamp()),
    Column("draining_at", timestamp()),
    Column("drained_at", timestamp()),
    Column("disk_low", Text, nullable=False, server_default=""),
    Column("started_at", timestamp(), nullable=False, server_default=func.now()),
    Column("seen_at", timestamp(), nullable=False, server_default=func.now()),
    Column("reporting_since", timestamp(), nullable=False, server_default=func.now()),
)

#: One row per worker process that died without having been stopped, with what it held. See `db.worker_deaths`.
worker_death = Table(
    "worker_death",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("started_at", timestamp(), primary_key=True),
    Column("died_at", timestamp(), nullable=False),
    Column("held", ARRAY(Text)),
)

#: Why nothing more is taken in, one row per part that is near its limit; empty while there is room.
pressure = Table(
    "pressure",
    metadata,
    Column("part", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since", timestamp(), nullable=False, server_default=func.now()),
    Column("seen_at", timestamp(), nullable=False, server_default=func.now()),
)

state_transition = Table(
    "state_transition",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("from_state", Text, primary_key=True),
    Column("to_state", Text, primary_key=True),
)
