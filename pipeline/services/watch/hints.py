"""Hints: what notifications, and objects that had to settle, say should be looked at before the listing comes to it.

A hint that is lost, doubled, forged or malformed does no harm: only keys under a watch are looked at, a bounded number
in each tick, and what becomes of them is decided as in a listing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from pipeline.core.object_events import read_event
from pipeline.db.engine import transaction
from pipeline.db.watch_hints import delete_hints, put_hints, select_due_hints
from pipeline.db.watched_videos import compare, mark_source_back
from pipeline.db.watches import WatchClaim, WatchRow, hold, select_watches
from pipeline.errors import ServiceUnavailable
from pipeline.logs import get_logger
from pipeline.services.system import System
from pipeline.services.watch.intake import at_once, pin_all, take_in
from pipeline.services.watch.judge import Judge, NewObject, by_key, superseded
from pipeline.services.watch.sources import check_sources
from pipeline.storage.listing import FoundObject
from pipeline.storage.store_errors import BucketMissing, ObjectMissing, StoreRefuses

log = get_logger(__name__)

#: Keys that one claim looks at, and notifications that one tick reads.
_LOOKS, _MESSAGES = 64, 200


def read_notifications(system: System) -> None:
    """Note the objects that notifications in Redis name, and that are under a watch; the others are dropped."""
    try:
        messages = system.queue.take_watch_hints(_MESSAGES)
    except ServiceUnavailable as error:  # the listing finds what they would have named
        log.warning("watch_hints_not_read", reason=error.message)
        return
    if messages:
        named = [each for message in messages for each in read_event(message)]
        under = put_named(system, named)
        log.info("watch_hints_read", messages=len(messages), objects=len(named), watched=len(under))


def put_named(system: System, named: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Note objects, by bucket and key, that are to be looked at now. Returns those that are under a watch."""
    under: set[tuple[str, str]] = set()
    with transaction(system.engine) as connection:
        looks: defaultdict[UUID, dict[str, float]] = defaultdict(dict)
        watches = select_watches(connection)
        for bucket, key in named:
            for each in _watches_of(watches, bucket, key):
                looks[each.id][key] = 0.0
                under.add((bucket, key))
        for watch_id, keys in sorted(looks.items()):
            put_hints(connection, watch_id, keys)
    return under


def look_at_hints(system: System, claim: WatchClaim, judge: Judge) -> int:
    """Look at some keys that are due, and take in what is new. Returns how many were taken in.

    Raises:
        BucketMissing, StoreRefuses, ServiceUnavailable: as the object store and the database say.
        LeaseLost: another tick has this watch now.
    """
    watch = claim.watch
    with transaction(system.engine) as connection:
        keys = select_due_hints(connection, watch.id, _LOOKS)
    if not keys:
        return 0
    found = [each for each in at_once(lambda key: _look(system, watch.bucket, key), keys) if each is not None]
    with transaction(system.engine) as connection:
        listed, _ = compare(connection, watch.bucket, watch.prefix, keys, None, 0)
    known, there = by_key(listed), {each.listed.key for each in found}
    lost = [one for one in listed if one.pinned.key not in there and one.needs_source and not one.is_gone]
    lost += [one for each in found for one in superseded(each.listed, known.get(each.listed.key, ()))]
    check_sources(system, lost)
    new: list[NewObject] = []
    waits: dict[str, float] = {}
    back: list[UUID] = []
    for each in found:
        judged = judge.judge(each.listed, known.get(each.listed.key, ()), each.as_of)
        if judged.new is not None:
            new.append(judged.new)
        elif judged.outcome == "settling":
            waits[each.listed.key] = judged.settles_in_s
        if judged.back is not None:
            back.append(judged.back)
    pinned = pin_all(system, watch.bucket, new)
    waits |= {each.new.listed.key: watch.settle_s for each in pinned if each.changed}
    with transaction(system.engine) as connection:
        hold(connection, claim)
        delete_hints(connection, watch.id, keys)
        put_hints(connection, watch.id, waits)
        mark_source_back(connection, back)
        return take_in(connection, system, watch, pinned)


def _look(system: System, bucket: str, key: str) -> FoundObject | None:
    """An object as it is now; None where there is none, or the store does not give it."""
    try:
        return system.store.listing.look(bucket, key)
    except BucketMissing:
        raise
    except (ObjectMissing, StoreRefuses):
        return None


def _watches_of(watches: Sequence[WatchRow], bucket: str, key: str) -> list[WatchRow]:
    return [each for each in watches if each.bucket == bucket and key.startswith(each.prefix) and key != each.prefix]
