"""A watched prefix with a hundred thousand keys costs the same for each page, and the same memory, as one with few."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.db.engine import transaction
from pipeline.db.watched_videos import Between, compare
from pipeline.services.system import System
from pipeline.services.teams import add_team
from tests.support.harness import sql
from tests.support.watched_bucket import WatchedPrefix

FEW, MANY = 10_000, 100_000
#: Of Python's own heap while pages come and go.
SLACK_BYTES = 20e6
MORE_PER_PAGE = 1.5
#: Of the fastest of some, so that other work on the machine does not count.
ASKED = 20


@pytest.mark.skipif("POSELINE_SOAK" not in os.environ, reason="takes a quarter of an hour; `make soak` runs it")
@pytest.mark.timeout(7200)
def test_a_hundred_thousand_keys(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)  # noqa: T201  its figures are in the docs

    add_team(system, "u18")
    bucket = WatchedPrefix(system)
    bucket.watch(every_s=0)
    asked_s: dict[int, float] = {}
    cpu_s: dict[int, float] = {}
    grown: dict[int, int] = {}
    made = 0
    for keys in (FEW, MANY):
        started_s = time.monotonic()
        bucket.put_many(f"u18/{number // 500:04}/{number:07}.mp4" for number in range(made, keys))
        say(f"{keys - made:,} objects put in {time.monotonic() - started_s:.0f} s")
        for what in ("taken in", "compared"):
            before = resident_bytes()
            before_s = time.process_time()
            found, longest_s, seconds = list_once(bucket)
            used_s = time.process_time() - before_s
            more = resident_bytes() - before
            per_page_s = found["busy_s"] / found["pages"]
            say(
                f"{keys:,} keys {what}: {seconds:.1f} s, {found['new']:,} new, {found['pages']:,} pages, "
                f"{1e3 * per_page_s:.0f} ms a page, "
                f"longest tick {longest_s:.2f} s, memory {more / 1e6:+.1f} MB"
            )
            assert found["seen"] == found["taken"] == keys
            assert longest_s < 10
            if what == "compared":
                assert found["new"] == 0
                cpu_s[keys], grown[keys] = used_s / found["pages"], more
                asked_s[keys] = comparing_s(system, bucket, keys)
                say(f"{1e3 * cpu_s[keys]:.0f} ms of CPU a page, compared in {1e3 * asked_s[keys]:.0f} ms")
        made = keys
    assert sql(system, "SELECT count(*), count(DISTINCT object_key) FROM video") == [(MANY, MANY)]
    assert cpu_s[MANY] < MORE_PER_PAGE * cpu_s[FEW]
    assert asked_s[MANY] < MORE_PER_PAGE * asked_s[FEW]
    assert grown[MANY] < grown[FEW] + SLACK_BYTES


def list_once(bucket: WatchedPrefix) -> tuple[dict[str, Any], float, float]:
    """List from beginning to end by ticks. Returns what that found, the longest tick and all in seconds."""
    before, longest_s, started_s = bucket.status().watch.listed_at, 0.0, time.monotonic()
    while bucket.status().watch.listed_at == before:
        tick_s = time.monotonic()
        bucket.tick()
        longest_s = max(longest_s, time.monotonic() - tick_s)
    listed = bucket.status().watch.listed
    assert listed is not None
    return dict(listed), longest_s, time.monotonic() - started_s


def comparing_s(system: System, bucket: WatchedPrefix, keys: int) -> float:
    """Seconds in which the database compares a page in the middle."""
    rows = 'SELECT object_key FROM video ORDER BY object_key COLLATE "C" LIMIT 1000 OFFSET :at'
    page = [str(key) for (key,) in sql(system, rows, at=keys // 2)]
    fastest_s = float("inf")
    for _ in range(ASKED):
        with transaction(system.engine) as connection:
            started_s = time.monotonic()
            known, missing = compare(
                connection, bucket.bucket, bucket.prefix, page, Between("folders", page[0], page[-1]), 500
            )
            fastest_s = min(fastest_s, time.monotonic() - started_s)
        assert (len(known), len(missing)) == (len(page), 0)
    return fastest_s


def resident_bytes() -> int:
    """This process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
