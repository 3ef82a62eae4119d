"""Ticks that go on with watched buckets: two at once, killed anywhere, hinted at, and with a store that refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from pipeline.db.engine import transaction
from pipeline.db.pressure import clear_pressure, put_pressure
from pipeline.db.watch_hints import MOST_HINTS
from pipeline.queue import WATCH_HINTS_KEY
from pipeline.services.system import System
from pipeline.services.teams import add_team
from pipeline.services.watch import listing
from pipeline.services.watch.manage import hint, remove_watch
from tests.support.harness import environment, sql, wait_until
from tests.support.watched_bucket import WatchedPrefix

KEYS = [f"u18/2026/{number:03}.mp4" for number in range(230)]


@pytest.fixture
def bucket(system: System) -> WatchedPrefix:
    """A prefix that others write to; there is the team u18."""
    add_team(system, "u18")
    return WatchedPrefix(system)


def assert_each_once(system: System, count: int) -> None:
    """Each object is one video with one run."""
    assert sql(
        system,
        "SELECT count(*), count(DISTINCT object_key), (SELECT count(*) FROM run), "
        "(SELECT count(DISTINCT video_id) FROM run) FROM video",
    ) == [(count,) * 4]


def test_two_ticks_at_once_take_nothing_in_twice(
    system: System, bucket: WatchedPrefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_KEYS", 70)
    bucket.put_many(KEYS)
    bucket.watch()
    bucket.watch("{team}/{year}/{name}")  # two watches of the same objects are worked on by two ticks at once
    with ThreadPoolExecutor(4) as pool:
        while sql(system, "SELECT 1 FROM watch WHERE listed_at IS NULL"):
            list(pool.map(lambda _: bucket.tick(), range(4)))
    assert_each_once(system, len(KEYS))
    assert sql(system, "SELECT sum((listed ->> 'new')::int), sum((listed ->> 'seen')::int) FROM watch") == [
        (len(KEYS), 2 * len(KEYS))
    ]


def test_a_listing_that_was_killed_goes_on_where_it_was(system: System, bucket: WatchedPrefix, tmp_path: Path) -> None:
    bucket.put_many(KEYS)
    bucket.watch()
    place = "SELECT after_key FROM watch"
    places = []
    environ = {**environment(system.settings), "POSELINE_TICK_S": "0.001", "POSELINE_LEASE_S": "0.2"}
    for _ in range(2):
        [(before,)] = sql(system, place)
        with (tmp_path / "ticks.log").open("ab") as log:
            ticking = subprocess.Popen(
                [sys.executable, "-m", "tests.support.watched_bucket"], env=environ, stdout=log, stderr=log
            )
        try:
            wait_until(lambda: sql(system, place) != [(before,)], 30, "the listing to go on")  # noqa: B023
        finally:
            os.kill(ticking.pid, signal.SIGKILL)
            ticking.wait()
        places.append(sql(system, place)[0][0])
    assert places == sorted(places)
    assert len(set(places)) == len(places), "each went on from where the one before was killed"
    sql(system, "UPDATE watch SET lease_until = now()")
    found = bucket.list_all()
    assert_each_once(system, len(KEYS))
    assert (found["seen"], found["taken"]) == (len(KEYS), len(KEYS))


def test_hints_make_it_sooner_and_false_ones_do_no_harm(system: System, bucket: WatchedPrefix) -> None:
    bucket.watch(every_s=3600)
    bucket.list_all()
    elsewhere = WatchedPrefix(system)
    elsewhere.put("u18/2026/not watched.mp4", b"x")
    key = bucket.put("u18/2026/a b+c.mp4", b"x")

    def record(bucket_name: str, key: str) -> dict[str, object]:
        return {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": bucket_name}, "object": {"key": key}}}

    quoted = key.replace("+", "%2B").replace(" ", "+")
    messages = [
        json.dumps([{"Event": [record(bucket.bucket, quoted)], "EventTime": "2026-11-27T18:00:00Z"}]).encode(),
        json.dumps({"Records": [record(bucket.bucket, quoted)]}).encode(),  # doubled, in the form of S3
        json.dumps({"Records": [record(bucket.bucket, elsewhere.prefix + "u18/2026/not+watched.mp4")]}).encode(),
        json.dumps({"Records": [record(bucket.bucket, bucket.prefix + "u18/2026/never+was.mp4")]}).encode(),
        json.dumps({"Records": [record(bucket.bucket, bucket.prefix + "%00")]}).encode(),
        json.dumps({"Records": [{"s3": {"bucket": 5}}]}).encode(),
        b'{"Records":',
        b"\xff\xfe",
        b"[" * 60_000,
        b'"' + b"x" * 100_000 + b'"',
        b"",
    ]
    with Redis.from_url(system.settings.broker_url.get_secret_value()) as redis:
        redis.rpush(WATCH_HINTS_KEY, *messages)
        bucket.tick()
        assert redis.exists(WATCH_HINTS_KEY) == 0
    assert sql(system, "SELECT object_key FROM video") == [(key,)]
    assert sql(system, "SELECT object_key FROM watch_hint") == []
    bucket.delete("u18/2026/a b+c.mp4")
    url = f"s3://{bucket.bucket}/{key}"
    assert hint(system, [url, "s3://elsewhere/x.mp4"]) == {url: True, "s3://elsewhere/x.mp4": False}
    bucket.tick()
    assert bucket.status().gone == 1, "so is what is deleted"


def test_a_flood_of_hints_is_bounded(system: System, bucket: WatchedPrefix) -> None:
    bucket.watch()
    base = f"s3://{bucket.bucket}/{bucket.prefix}"
    hint(system, [f"{base}{number}" for number in range(MOST_HINTS + 500)])
    hint(system, [f"{base}more{number}" for number in range(500)])
    assert bucket.status().hinted == MOST_HINTS


def test_an_error_of_the_store_is_said_with_its_fix_and_passes(system: System, bucket: WatchedPrefix) -> None:
    own = WatchedPrefix(system, "short-lived")
    own.put("u18/2026/a.mp4", b"x")
    own.watch()
    own.delete("u18/2026/a.mp4")
    own.client.delete_bucket(Bucket=own.bucket)
    bucket.watch()
    # On a busy machine one of them may take all of a tick's time.
    wait_until(lambda: own.tick() and own.status().watch.error is not None, 20, "the error")
    assert own.status().watch.error == "there is no bucket short-lived in the object store; check its name"
    wait_until(lambda: own.tick() and bucket.status().watch.listed is not None, 20, "the other watch, which goes on")
    again = WatchedPrefix(system, "short-lived")
    again.prefix = own.prefix
    again.put("u18/2026/a.mp4", b"x")
    again.list_all()
    assert sql(system, "SELECT count(*) FROM video") == [(1,)]


def test_nothing_is_taken_in_while_there_is_no_room(system: System, bucket: WatchedPrefix) -> None:
    bucket.put("u18/2026/a.mp4", b"x")
    bucket.watch()
    with transaction(system.engine) as connection:
        put_pressure(connection, "database", "the database takes 9 of 10 GiB")
    bucket.tick()
    assert bucket.status().blocked == "nothing is taken in until there is room: the database takes 9 of 10 GiB"
    assert sql(system, "SELECT 1 FROM video") == []
    with transaction(system.engine) as connection:
        clear_pressure(connection, "database")
    bucket.tick()
    assert_each_once(system, 1)


def test_a_watch_that_was_removed_takes_nothing_more_and_its_videos_stay(system: System, bucket: WatchedPrefix) -> None:
    bucket.put("u18/2026/a.mp4", b"x")
    bucket.watch()
    bucket.list_all()
    remove_watch(system, bucket.location)
    bucket.put("u18/2026/b.mp4", b"x")
    bucket.tick()
    assert_each_once(system, 1)
    bucket.watch()
    assert bucket.list_all()["new"] == 1
