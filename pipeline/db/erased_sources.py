"""Objects of users whose videos were erased, by SHA-256: a watched bucket does not give them to the same team again.

Such an object is its owner's and stays; without this the next listing would take it in as new. It is known by its ETag
and size, so that one that was renamed or copied since is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pipeline.db.tables import erased_source, team


class TeamObject(NamedTuple):
    """An object, and the team whose video it is."""

    team_id: UUID
    bucket: str
    key: str
    etag: str | None
    size_bytes: int | None


def note_erased_source(connection: Connection, erased: TeamObject) -> None:
    """Note that the video of an object was erased."""
    name = connection.execute(select(team.c.name).where(team.c.id == erased.team_id)).scalar_one()
    connection.execute(insert(erased_source).values(sha256=_sha256(name, erased)).on_conflict_do_nothing())


def select_erased_sources(connection: Connection, wanted: Collection[TeamObject]) -> set[TeamObject]:
    """Which of these objects were erased of these teams."""
    ids = {one.team_id for one in wanted}
    names = {row.id: row.name for row in connection.execute(select(team.c.id, team.c.name).where(team.c.id.in_(ids)))}
    hashes = {one: {_sha256(name := names.get(one.team_id, ""), one), _by_key(name, one)} for one in wanted}
    there = select(erased_source.c.sha256).where(erased_source.c.sha256.in_(set().union(*hashes.values())))
    found = set(connection.execute(there).scalars())
    return {one for one, of_it in hashes.items() if of_it & found}


def _sha256(team_name: str, one: TeamObject) -> str:
    return hashlib.sha256(f"{team_name}\n{one.etag}\n{one.size_bytes}".encode()).hexdigest()


def _by_key(team_name: str, one: TeamObject) -> str:
    """What was noted of it before renamed objects were known, too."""
    return hashlib.sha256(f"{team_name}\n{one.etag}\ns3://{one.bucket}/{one.key}".encode()).hexdigest()
