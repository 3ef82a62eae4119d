"""A listing of a million keys goes on where a killed process left it, and takes no more memory than one of few."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pipeline.services.system import System
from pipeline.services.teams import add_team
from pipeline.settings import Settings
from tests.soak.test_watch_many_keys import SLACK_BYTES, list_once, resident_bytes
from tests.support.harness import environment, sql, wait_until
from tests.support.watched_bucket import WatchedPrefix

KEYS = int(os.environ.get("KEYS", "1000000"))
FOLDER_KEYS = 5_000
#: One of these can take in what is new in one tick; the rest are known.
NEW = 200
BODY = b"a video"

#: Videos of objects with the content of the only one that was taken in.
KNOWN = """
INSERT INTO video
SELECT (jsonb_populate_record(one, jsonb_build_object('id', gen_random_uuid(), 'name', key, 'object_key', key))).*
FROM video AS one, unnest(CAST(:keys AS text[])) AS key
WHERE one.id = (SELECT id FROM video ORDER BY created_at LIMIT 1)
"""


@pytest.mark.skipif("POSELINE_SOAK" not in os.environ, reason="takes an hour; `make soak` runs it")
@pytest.mark.timeout(7200)
def test_a_million_keys(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)  # noqa: T201  its figures are in the docs

    add_team(system, "u18")
    bucket = WatchedPrefix(system)
    first, *folders = folders_of(KEYS)
    bucket.put(first[0], BODY)
    bucket.watch(every_s=0)
    list_once(bucket)
    started_s = time.monotonic()
    with ProcessPoolExecutor(4, get_context("spawn")) as pool:
        put = partial(put_same, system.settings.handed_on(), bucket.bucket, bucket.prefix)
        for _ in pool.map(put, [first[1:], *folders]):
            pass
    say(f"{KEYS:,} objects put in {time.monotonic() - started_s:.0f} s")
    known = [key for folder in ([first[1:]], folders) for keys in folder for key in keys][:-NEW]
    for at in range(0, len(known), 50_000):
        sql(system, KNOWN, keys=[bucket.prefix + key for key in known[at : at + 50_000]])
    sql(system, "ANALYZE video")

    before = resident_bytes()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.watched_bucket"], env=environment(system.settings)
    ) as ticks:
        wait_until(lambda: seen(system) > KEYS // 3, 3600, "a third of the listing")
        ticks.kill()
    sql(system, "UPDATE watch SET lease_until = now()")
    left = KEYS - seen(system)
    found, longest_s, seconds = list_once(bucket)
    more = resident_bytes() - before
    pages = left // 1000
    say(
        f"killed at {KEYS - left:,}; the other {left:,} keys listed and compared in {seconds:.0f} s, "
        f"{1e3 * seconds / pages:.0f} ms a page, longest tick {longest_s:.2f} s, memory {more / 1e6:+.1f} MB"
    )
    assert (found["seen"], found["taken"], found["new"]) == (KEYS, KEYS, NEW)
    assert sql(system, "SELECT count(*), count(DISTINCT object_key) FROM video") == [(KEYS, KEYS)]
    assert longest_s < 10
    assert more < SLACK_BYTES


def folders_of(keys: int) -> Iterator[list[str]]:
    """Keys in folders, in the order of a listing."""
    for start in range(0, keys, FOLDER_KEYS):
        yield [f"u18/{start // FOLDER_KEYS:05}/{at:07}.mp4" for at in range(start, min(keys, start + FOLDER_KEYS))]


def put_same(settings: dict[str, Any], bucket: str, prefix: str, keys: list[str]) -> None:
    """Put objects of one content: signed, and without the rest of a client, which would take an hour."""
    given = Settings.received(settings)
    credentials = Credentials(given.s3_access_key.get_secret_value(), given.s3_secret_key.get_secret_value())
    sign = S3SigV4Auth(credentials, "s3", given.s3_region)
    with closing(HTTPConnection(urlsplit(given.s3_endpoint).netloc)) as connection:
        for key in keys:
            request = AWSRequest("PUT", f"{given.s3_endpoint}/{bucket}/{prefix}{key}", data=BODY)
            sign.add_auth(request)
            connection.request("PUT", f"/{bucket}/{prefix}{key}", BODY, dict(request.headers.items()))
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200


def seen(system: System) -> int:
    """How many keys the listing that is under way has passed."""
    [(counts,)] = sql(system, "SELECT counts FROM watch")
    return int(counts.get("seen", 0))
