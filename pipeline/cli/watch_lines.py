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
    "settling": "have to settle: they changed lately",
    "refused": "refused: they cannot be analysed",
    "unfit": "do not fit the pattern",
    "unknown_team": "are of teams that do not exist; `poseline teams add NAME` makes one",
    "empty": "are empty",
    "archived": "are archived",
    "unreadable": "are refused by the object store",
    "no_video": "are not called videos",
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
        yield f"  listing   since {_at(watch.round_started_at)}: {_keys(watch.counts)} so far{place}"
    if watch.listed is not None and watch.listed_at is not None:
        yield f"  listed    {_at(watch.listed_at)}: {_keys(watch.listed)} in {watch.listed['took_s']:.1f} s"
    else:
        yield "  listed    not completely yet"
    yield from _found(watch.listed if watch.listed is not None else watch.counts)
    if status.hinted:
        yield f"  hints     {status.hinted:,} keys are looked at before the listing comes to them"
    if status.gone:
        yield f"  gone      {status.gone:,} videos have no object any more; their results stay"
        yield from (f"            {printable(key)}" for key in status.gone_keys)


def _found(counts: Mapping[str, Any]) -> Iterator[str]:
    duplicates = counts.get("duplicate", 0)
    same = f", and {duplicates:,} objects with the content of others" if duplicates else ""
    yield f"  taken in  {counts.get('taken', 0):,} videos{same}"
    for outcome, words in _NOT_TAKEN.items():
        if counts.get(outcome):
            yield f"  not       {counts[outcome]:,} {words}"
            for key, why in counts.get("examples", {}).get(outcome, []):
                yield f"            {printable(key)}: {why}"


def _keys(counts: Mapping[str, Any]) -> str:
    seen = counts.get("seen", 0)
    return "1 key" if seen == 1 else f"{seen:,} keys"


def _at(when: datetime) -> str:
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S}"
