"""Check later that what was erased is gone: no row and no object has an id or a key whose SHA-256 is in the receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from pipeline.core.object_keys import OWN_PREFIXES
from pipeline.core.progress import SILENT, Progress
from pipeline.db.engine import transaction
from pipeline.db.erasure_check import iter_ids
from pipeline.db.erasures import ErasureRow, find_erasures, select_erasures
from pipeline.errors import NotFound, UsageError
from pipeline.services.erase.receipt import sha256_of
from pipeline.services.system import System

_LISTED = 50


@dataclass(frozen=True)
class Check:
    """Whether what an erasure erased is gone.

    Args:
        back: what is there again, or still: a table with the id, or an object's key.
    """

    erasure: ErasureRow
    back: tuple[str, ...]

    @property
    def good(self) -> bool:
        return self.erasure.finished_at is not None and not self.back

    @property
    def line(self) -> str:
        """What was found, for people."""
        if self.erasure.finished_at is None:
            return f"not finished yet; the ticks of beat go on, or `poseline erase --resume {self.erasure.id}`"
        if not self.back:
            return "all of it is gone from the database and the object store"
        return f"there again: {', '.join(self.back)}"

    def to_dict(self) -> dict[str, object]:
        """The check as JSON fields."""
        return {"erasure_id": str(self.erasure.id), "good": self.good, "back": list(self.back), "found": self.line}


def list_erasures(system: System, ids: Collection[UUID] | None = None, limit: int | None = None) -> list[ErasureRow]:
    """Erasures, the newest first: these, or every one."""
    with transaction(system.engine) as connection:
        return select_erasures(connection, ids, limit=limit)


def find_erasure(system: System, prefix: str) -> UUID:
    """The erasure whose id begins so.

    Raises:
        NotFound: there is none.
        UsageError: there are several.
    """
    with transaction(system.engine) as connection:
        found = find_erasures(connection, prefix)
    if not found:
        raise NotFound(f"there is no erasure {prefix}; `poseline erase --list` lists what there is")
    if len(found) > 1:
        raise UsageError(f"{len(found)} erasures begin with {prefix}; give more of the id")
    return found[0]


def check_erasures(system: System, ids: Collection[UUID] | None = None, progress: Progress = SILENT) -> list[Check]:
    """Compare every id in the database and every key in the object store with what these erasures erased, or all.

    Raises:
        ServiceUnavailable: a server does not answer.
    """
    erasures = list_erasures(system, ids)
    erased: dict[str, list[UUID]] = {}
    for each in erasures:
        for hashes in each.receipt.get("sha256", {}).values():
            for one in hashes:
                erased.setdefault(one, []).append(each.id)
    back: dict[UUID, Counter[str]] = {each.id: Counter() for each in erasures}
    progress.step("comparing the rows of the database")
    with transaction(system.engine) as connection:
        for table, row_id in iter_ids(connection):
            for erasure_id in erased.get(sha256_of(str(row_id)), ()):
                back[erasure_id][f"{table} {row_id}"] += 1
    progress.step("comparing the objects in the store")
    buckets = {system.store.bucket, *(name for each in erasures for name in each.receipt.get("buckets", ()))}
    for bucket in sorted(buckets) if erasures else ():
        for top in sorted(OWN_PREFIXES):
            for key in system.store.versions.iter_keys(bucket, f"{top}/"):
                progress.advance()
                for part in _parts(key):
                    for erasure_id in erased.get(sha256_of(part), ()):
                        back[erasure_id][f"s3://{bucket}/{key}"] += 1
    return [Check(each, tuple(sorted(back[each.id])[:_LISTED])) for each in erasures]


def _parts(key: str) -> Iterator[str]:
    """A key, and the folders that it is in."""
    yield key
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key
