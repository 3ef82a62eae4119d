"""Runs that were asked for with a key."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pipeline.db.leases import after
from pipeline.db.tables import run_request

#: A key is kept for so long.
KEEP_S = 86_400.0


@dataclass(frozen=True)
class RunRequest:
    """What was asked for with a key, and the run that was the answer."""

    asked_sha256: str
    run_id: UUID


def find_request(connection: Connection, team_id: UUID, key_sha256: str) -> RunRequest | None:
    """What a team asked for with a key, while it is kept."""
    row = connection.execute(
        select(run_request.c.asked_sha256, run_request.c.run_id).where(
            run_request.c.team_id == team_id,
            run_request.c.key_sha256 == key_sha256,
            run_request.c.created_at > after(-KEEP_S),
        )
    ).first()
    return None if row is None else RunRequest(row.asked_sha256, row.run_id)


def keep_request(connection: Connection, team_id: UUID, key_sha256: str, asked_sha256: str, run_id: UUID) -> None:
    """Keep what was asked for with a key, and forget the team's that are too old."""
    connection.execute(
        run_request.delete().where(run_request.c.team_id == team_id, run_request.c.created_at <= after(-KEEP_S))
    )
    values = {"asked_sha256": asked_sha256, "run_id": run_id}
    statement = insert(run_request).values(team_id=team_id, key_sha256=key_sha256, **values)
    connection.execute(statement.on_conflict_do_nothing())
