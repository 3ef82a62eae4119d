"""The status of a watch as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pipeline.services.upload_steps import printable
from pipeline.services.watch.manage import short_watch_id
from pipeline.services.watch.status import WatchStatus

#: What a listing counts, in words, in the order in which it is shown.
_NOT_TAKEN = {
    "settling": "still to settle",
    "refused": "refused, since they cannot be analysed",
    "unfit": "not fitting the pattern",
    "unknown_team": "of teams that do not exist (`poseline teams add NAME` makes one)",
    "empty": "empty",
    "archived": "archived",
    "unreadable": "not given by the object store",
    "no_video": "not called videos",
}


def status_lines(status: WatchStatus) -> Iterator[str]:
    """One watch in detail."""
    watch = status.watch
    yield f"watch {short_watch_id(watch)}: {watch.location} {watch.pattern}, model {watch.model_name}"
    if watch.error is not None and watch.error_at is not None:
        yield f"  error     {_at(watch.error_at)}: {watch.error} (it is tried again)"
    if status.blocked is not None:
        yield f"  blocked   {status.blocked}"
    if watch.round_started_at is not None:
        place = f", now after {printable(watch.after_key)}" if watch.after_key else ""
        seen = _count(watch.counts.get("seen", 0), "key")
        yield f"  listing   since {_at(watch.round_started_at)}: {seen} so far{place}"
    if watch.listed is not None and watch.listed_at is not None:
        seen = _count(watch.listed["seen"], "key")
        yield f"  listed    {_at(watch.listed_at)}: {seen} in {watch.listed['took_s']:.1f} s"
    else:
        yield "  listed    not completely yet"
    yield from _found(watch.listed if watch.listed is not None else watch.counts)
    if status.hinted:
        yield f"  hints     {_count(status.hinted, 'key')} to look at before the listing comes to them"
    if status.gone:
        yield f"  gone      the objects of {_count(status.gone, 'video')}; their results stay"
        yield from (f"            {printable(key)}" for key in status.gone_keys)


def _found(counts: Mapping[str, Any]) -> Iterator[str]:
    duplicates = counts.get("duplicate", 0)
    same = f", and {_count(duplicates, 'object')} with the content of another" if duplicates else ""
    yield f"  taken in  {_count(counts.get('taken', 0), 'video')}{same}"
    if counts.get("erased"):
        yield f"  erased, and not taken in again: {counts['erased']:,}"
    for outcome, words in _NOT_TAKEN.items():
        if counts.get(outcome):
            yield f"  {words}: {counts[outcome]:,}"
            for key, why in counts.get("examples", {}).get(outcome, []):
                yield f"            {printable(key)}: {why}"


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def _at(when: datetime) -> str:
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S}"
