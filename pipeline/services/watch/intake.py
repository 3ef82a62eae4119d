"""Take in objects of a watched bucket: pinned as they are now, as videos with runs, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from pipeline.core.objects import StoredObject
from pipeline.core.video_names import numbered_name
from pipeline.core.watched_keys import ListedObject
from pipeline.db.engine import transaction
from pipeline.db.erased_sources import TeamObject, select_erased_sources
from pipeline.db.runs import insert_runs
from pipeline.db.uploads import NewVideo, insert_videos
from pipeline.db.watched_videos import compare, take_turns
from pipeline.db.watches import WatchRow
from pipeline.services.system import System
from pipeline.services.upload_steps import printable
from pipeline.services.watch.judge import NewObject
from pipeline.storage.listing import FoundObject
from pipeline.storage.store_errors import BucketMissing, ObjectMissing, StoreRefuses

#: Objects that are asked for at once, and those of one transaction.
AT_ONCE, SLICE = 16, 64

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Pinned:
    """A new object that is as it was listed, with its pin; or why it is not taken in now.

    Args:
        refusal: the store does not give it.
        changed: it is not as it was listed.
        erased: its video was erased.
    """

    new: NewObject
    source: StoredObject | None = None
    refusal: str = ""
    changed: bool = False
    erased: bool = False


def at_once(work: Callable[[T], U], items: Sequence[T]) -> Iterator[U]:
    """The results of a call of the object store for each item, a few at once."""
    if len(items) < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="watch") as pool:
        yield from pool.map(work, items)


def pin_all(system: System, bucket: str, objects: Sequence[NewObject]) -> list[Pinned]:
    """Pin objects that are still as they were listed.

    Raises:
        StoreRefuses: it gives none of them.
        BucketMissing, ServiceUnavailable: as the store says.
    """
    refusals: list[StoreRefuses] = []
    wanted = {_of_team(new, bucket, new.listed): new for new in objects}
    if not wanted:
        return []
    with transaction(system.engine) as connection:
        erased = [wanted.pop(each) for each in select_erased_sources(connection, wanted)]

    def pin(new: NewObject) -> Pinned:
        try:
            found = system.store.listing.look(bucket, new.listed.key)
        except BucketMissing:
            raise
        except ObjectMissing:
            return Pinned(new)
        except StoreRefuses as error:
            refusals.append(error)
            return Pinned(new, refusal=error.message)
        return Pinned(new, found.pinned) if _is_same(found, new) else Pinned(new, changed=True)

    pinned = list(at_once(pin, list(wanted.values())))
    if refusals and len(refusals) == len(pinned):
        raise refusals[0]
    return [*pinned, *(Pinned(new, erased=True) for new in erased)]


def take_in(connection: Connection, system: System, watch: WatchRow, pinned: Iterable[Pinned]) -> int:
    """Enter objects as videos that wait to be read, and request their runs. Returns how many are new.

    One that was taken in meanwhile, as by another watch, is left as it is; so is one whose video the team had erased.
    """
    wanted = [(each.new, each.source) for each in pinned if each.source is not None]
    if not wanted:
        return 0
    take_turns(connection, watch.bucket)
    there, _ = compare(connection, watch.bucket, watch.prefix, [new.listed.key for new, _ in wanted], None, 0)
    taken = {(one.team_id, one.pinned.key, one.pinned.etag) for one in there}
    erased = select_erased_sources(connection, [_of_team(new, source.bucket, source) for new, source in wanted])
    rows = [
        NewVideo(new.team_id, printable(numbered_name(new.meaning.name, new.number)), None, new.meaning.tags, source)
        for new, source in wanted
        if (new.team_id, source.key, source.etag) not in taken and _of_team(new, source.bucket, source) not in erased
    ]
    made = insert_videos(connection, system.store.bucket, rows)
    insert_runs(connection, [video_id for video_id, _ in made], watch.model_fingerprint)
    return len(made)


def _is_same(found: FoundObject, new: NewObject) -> bool:
    return (found.listed.size_bytes, found.listed.etag) == (new.listed.size_bytes, new.listed.etag)


def _of_team(new: NewObject, bucket: str, found: ListedObject | StoredObject) -> TeamObject:
    return TeamObject(new.team_id, bucket, found.key, found.etag, found.size_bytes)
