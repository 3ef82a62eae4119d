"""Objects of users whose videos were erased, by SHA-256: a watched bucket does not give them to the same team again.

Such an object is its owner's and stays; without this the next listing would take it in as new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.objects import StoredObject
from pipeline.db.tables import erased_source, team


def note_erased_source(connection: Connection, team_id: UUID, bucket: str, key: str, etag: str | None) -> None:
    """Note that the video of an object was erased."""
    name = connection.execute(select(team.c.name).where(team.c.id == team_id)).scalar_one()
    values = {"sha256": _sha256(name, bucket, key, etag)}
    connection.execute(insert(erased_source).values(**values).on_conflict_do_nothing())


def select_erased_sources(
    connection: Connection, wanted: Collection[tuple[UUID, StoredObject]]
) -> set[tuple[UUID, StoredObject]]:
    """Which of these objects were erased of these teams."""
    ids = {team_id for team_id, _ in wanted}
    names = {row.id: row.name for row in connection.execute(select(team.c.id, team.c.name).where(team.c.id.in_(ids)))}
    by_hash = {_sha256(names.get(one[0], ""), one[1].bucket, one[1].key, one[1].etag): one for one in wanted}
    found = select(erased_source.c.sha256).where(erased_source.c.sha256.in_(by_hash))
    return {by_hash[sha256] for sha256 in connection.execute(found).scalars()}


def _sha256(team_name: str, bucket: str, key: str, etag: str | None) -> str:
    return hashlib.sha256(f"{team_name}\n{etag}\ns3://{bucket}/{key}".encode()).hexdigest()
