"""What every table is made with."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    Text,
    Uuid,
    func,
)

metadata = MetaData()


def timestamp() -> DateTime:
    return DateTime(timezone=True)


def lease_columns() -> list[Column[object]]:
    """Columns of a row that workers lease: who holds it until when, and what went wrong before. See `db.leases`."""
    return [
        Column("queued_at", timestamp()),
        Column("not_before", timestamp(), nullable=False, server_default=func.now()),
        Column("lease_token", Uuid),
        Column("leased_at", timestamp()),
        Column("lease_until", timestamp()),
        Column("worker", Text),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("errors", Integer, nullable=False, server_default="0"),
        Column("expirations", Integer, nullable=False, server_default="0"),
        Column("deaths", Integer, nullable=False, server_default="0"),
        Column("last_error", Text),
    ]
