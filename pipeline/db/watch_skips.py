"""Objects that are not to be taken in again: whoever erases a video that is read in place notes its object here.

Only a hash is kept, so that nothing of the name stays. An object that is overwritten later is another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from sqlalchemy import ARRAY, Connection, Text, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.objects import StoredObject
from pipeline.db.tables import watch_skip


def skip_objects(connection: Connection, sources: Iterable[StoredObject]) -> None:
    """Have no watch take these objects in again."""
    hashes = {object_hash(one.bucket, one.key, one.etag) for one in sources}
    rows = [{"object_hash": each} for each in sorted(hashes)]
    if rows:
        connection.execute(insert(watch_skip).values(rows).on_conflict_do_nothing())


def select_skipped(connection: Connection, hashes: Collection[str]) -> set[str]:
    """Those of these objects, by their hashes, that are not to be taken in."""
    wanted = watch_skip.c.object_hash == func.any(literal(list(hashes), ARRAY(Text)))
    return set(connection.execute(select(watch_skip.c.object_hash).where(wanted)).scalars())


def object_hash(bucket: str, key: str, etag: str) -> str:
    """What an object is known by here: a SHA-256 of its names and ETag."""
    return hashlib.sha256("\0".join((bucket, key, etag)).encode()).hexdigest()
