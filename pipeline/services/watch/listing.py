"""Go on with the listing of a watched prefix, page by page, from where an earlier tick stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.watched_keys import ListedObject, order_of
from pipeline.db.engine import transaction
from pipeline.db.watch_hints import put_hints
from pipeline.db.watched_videos import Between, KnownObject, compare, mark_source_back
from pipeline.db.watches import WatchClaim, begin_round, end_round, hold
from pipeline.services.system import System
from pipeline.services.watch.findings import Findings
from pipeline.services.watch.intake import SLICE, pin_all, take_in
from pipeline.services.watch.judge import Judge, Judgement, NewObject, by_key, superseded
from pipeline.services.watch.sources import check_sources
from pipeline.storage.listing import PAGE_KEYS, ListedPage

#: Videos that may be missing from one page; the rest are looked for with the next listing.
_MOST_MISSING = 500


class Listing:
    """One claim's part of a listing.

    Args:
        is_over: whether this tick has taken long enough; asked between slices of a page.
    """

    def __init__(self, system: System, claim: WatchClaim, judge: Judge, is_over: Callable[[], bool]) -> None:
        self._system, self._claim, self._judge, self._is_over = system, claim, judge, is_over
        self._watch = claim.watch
        self._findings = Findings(self._watch.counts)
        self.taken = 0

    def go_on(self, most_pages: int) -> None:
        """List some pages, or until it is over; and note the end of the listing.

        Raises:
            BucketMissing, StoreRefuses, ServiceUnavailable: as the object store and the database say.
            LeaseLost: another tick has this watch now.
        """
        if self._watch.round_started_at is None:
            with transaction(self._system.engine) as connection:
                begin_round(connection, self._claim)
            self._watch, self._findings = replace(self._watch, after_key=""), Findings({})
        for _ in range(most_pages):
            if self._page() or self._is_over():
                return

    def _page(self) -> bool:
        """List one page. Returns whether the listing is complete, or it is over."""
        began_s, taken = time.monotonic(), self.taken
        watch, store = self._watch, self._system.store
        most = self._findings.page_keys or PAGE_KEYS
        page = store.listing.page(watch.bucket, watch.prefix, watch.after_key, most)
        keys = [one.key for one in page.objects]
        order = order_of(keys, watch.after_key, watch.key_order)
        last = None if page.is_last else keys[-1]
        # Where the store turns out to have another order, what is missing is looked for with the next listing.
        between = Between(order, watch.after_key, last) if order == watch.key_order else None
        with transaction(self._system.engine) as connection:
            listed, missing = compare(connection, watch.bucket, watch.prefix, keys, between, _MOST_MISSING)
            if order != watch.key_order:
                hold(connection, self._claim, key_order=order)
        self._watch = replace(watch, key_order=order)
        known = by_key(listed)
        lost = missing + [one for found in page.objects for one in superseded(found, known.get(found.key, ()))]
        self._findings.count("gone", check_sources(self._system, lost))  # first: a slice moves the place on
        if not self._take_slices(page, known):
            return True
        if self.taken == taken:
            self._findings.page_keys = None
        self._findings.count("pages")
        self._findings.count("busy_s", time.monotonic() - began_s)
        self._write_page(page)
        return page.is_last

    def _take_slices(self, page: ListedPage, known: dict[str, list[KnownObject]]) -> bool:
        """Judge a page and take in what is new, a slice at a time. Returns whether it came to its end."""
        new: list[NewObject] = []
        waits: dict[str, float] = {}
        back: list[UUID] = []
        for at, found in enumerate(page.objects, start=1):
            judged = self._judge.judge(found, known.get(found.key, ()), page.as_of)
            if judged.new is not None:
                new.append(judged.new)
            else:
                self._note(found, judged, waits)
            if judged.back is not None:
                back.append(judged.back)
            if len(new) == SLICE:
                self._findings.page_keys = 2 * SLICE  # what a tick can take in; the rest would be listed again
            if len(new) == SLICE or (at == len(page.objects) and (new or waits or back)):
                self._take(new, waits, back, found.key)
                new, waits, back = [], {}, []
                if at < len(page.objects) and self._is_over():
                    return False
        return True

    def _note(self, found: ListedObject, judged: Judgement, waits: dict[str, float]) -> None:
        self._findings.add(judged.outcome, found.key, judged.why)
        if judged.outcome == "settling":
            waits[found.key] = judged.settles_in_s

    def _take(self, new: Sequence[NewObject], waits: dict[str, float], back: Sequence[UUID], last_key: str) -> None:
        """Take in a slice, and note in the same transaction that the listing is as far as its last key."""
        pinned = pin_all(self._system, self._watch.bucket, new)
        for each in pinned:
            key = each.new.listed.key
            if each.source is not None:
                self._findings.add("taken", key)
            elif each.erased:
                self._findings.add("erased", key)
            elif each.refusal:
                self._findings.add("unreadable", key, each.refusal)
            elif each.changed:
                self._findings.add("settling", key, "it changed while it was listed")
                waits[key] = self._judge.settle_s
        with transaction(self._system.engine) as connection:
            taken = take_in(connection, self._system, self._watch, pinned)
            self._findings.count("new", taken)
            mark_source_back(connection, back)
            put_hints(connection, self._watch.id, waits)
            self._write(connection, last_key)
        self.taken += taken

    def _write_page(self, page: ListedPage) -> None:
        with transaction(self._system.engine) as connection:
            if page.is_last:
                end_round(connection, self._claim, self._findings.to_dict())
            else:
                self._write(connection, page.objects[-1].key)

    def _write(self, connection: Connection, last_key: str) -> None:
        hold(connection, self._claim, after_key=last_key, counts=self._findings.to_dict())
        self._watch = replace(self._watch, after_key=last_key)
