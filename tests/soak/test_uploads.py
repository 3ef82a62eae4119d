"""Uploads of hundreds of megabytes through every fault, the memory that ten at once take, and how fast they are."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3
from playwright.sync_api import Browser

from pipeline.core.roles import Role
from pipeline.core.upload_parts import MIB, USUAL_PART_BYTES
from pipeline.services.system import System
from tests.support.browser import chromium
from tests.support.harness import processes
from tests.support.uploads import assert_no_upload_left, begin, digest, parts_of, stored_bytes
from tests.support.web import signed_in
from tests.support.web_site import choose, site, wait_sent
from tests.web.test_upload_faults import random_file, send_by_two_browsers, send_through_faults

USUAL_PARTS = {"POSELINE_UPLOAD_PART_BYTES": str(USUAL_PART_BYTES)}
LARGE = 300 * MIB + 4321


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium."""
    with chromium() as browser:
        yield browser


@pytest.mark.timeout(600)
def test_300_mb_through_every_fault(system: System, browser: Browser, tmp_path: Path) -> None:
    file = random_file(tmp_path, LARGE)
    with processes(system.settings, tmp_path / "logs") as running, site(system, running, **USUAL_PARTS) as ours:
        assert send_through_faults(ours, browser, file, 600) == {"dropped", "killed", "store"}
        assert ours.stored(file.name) == file.read_bytes()
        assert_no_upload_left(system, ours.team)


@pytest.mark.timeout(600)
def test_300_mb_by_two_browsers(system: System, browser: Browser, tmp_path: Path) -> None:
    file = random_file(tmp_path, LARGE)
    with processes(system.settings, tmp_path / "logs") as running, site(system, running, **USUAL_PARTS) as ours:
        assert send_by_two_browsers(ours, browser, file, USUAL_PART_BYTES, 600) < LARGE - 80 * MIB
        assert ours.stored(file.name) == file.read_bytes()
        assert_no_upload_left(system, ours.team)


@contextmanager
def watched_rss(pid: int) -> Iterator[list[int]]:
    """The memory of a process in bytes, ten times a second."""
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            seen.append(int(fields["VmRSS"].split()[0]) * 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.mark.timeout(600)
def test_ten_uploads_of_three_parts_at_once_take_little_memory(system: System, tmp_path: Path) -> None:
    with (
        processes(system.settings, tmp_path / "logs") as running,
        site(system, running, direct=True, **USUAL_PARTS) as ours,
    ):
        assert ours.process is not None
        pool = urllib3.PoolManager(maxsize=40, timeout=300)
        client = signed_in(system, f"http://127.0.0.1:{ours.port}", "coach@example.org", ours=Role.COACH)
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        headers = {"Origin": client.origin, "Cookie": cookie}
        contents = [os.urandom(64 * MIB + number) for number in range(10)]

        def send(number: int) -> str:
            content = contents[number]
            begun = begin(client, ours.team, content, f"{number}.mp4", first_sha256=None)
            upload = str(begun["upload"]["id"])
            parts = parts_of(content, USUAL_PART_BYTES)

            def put(index: int) -> int:
                url = f"{client.origin}/api/v1/teams/{ours.team}/uploads/{upload}/parts/{index + 1}"
                return pool.request("PUT", url, body=parts[index], headers=headers | digest(parts[index])).status

            with ThreadPoolExecutor(3) as three:
                assert list(three.map(put, range(len(parts)))) == [200] * len(parts)
            url = f"{client.origin}/api/v1/teams/{ours.team}/uploads/{upload}/complete"
            assert pool.request("POST", url, headers=headers).status == 200
            return upload

        with watched_rss(ours.process.pid) as seen, ThreadPoolExecutor(10) as ten:
            begun_at = time.monotonic()
            uploads = list(ten.map(send, range(10)))
            took_s = time.monotonic() - begun_at
        print(f"640 MiB in {took_s:.1f} s; RSS {seen[0] / MIB:.0f} MiB at first, {max(seen) / MIB:.0f} MiB at most")  # noqa: T201
        assert max(seen) < 200 * 10**6
        for upload, content in zip(uploads, contents, strict=True):
            assert stored_bytes(system, ours.team, upload) == content
        assert_no_upload_left(system, ours.team)


@pytest.mark.parametrize("public", [False, True], ids=["through the server", "to the store"])
def test_how_fast_a_browser_sends(system: System, browser: Browser, tmp_path: Path, public: bool) -> None:
    file = random_file(tmp_path, LARGE)
    begun_at = time.monotonic()
    system.store.put_file(file, "teams/measured")
    plain_s = time.monotonic() - begun_at
    system.store.delete("teams/measured")
    with (
        processes(system.settings, tmp_path / "logs") as running,
        site(system, running, public=public, direct=True, **USUAL_PARTS) as ours,
        ours.coach(browser) as seen,
    ):
        begun_at = time.monotonic()
        choose(seen.page, file)
        wait_sent(seen.page, file.name, 600)
        took_s = time.monotonic() - begun_at
        print(f"plain put {LARGE / plain_s / 1e6:.0f} MB/s, browser {LARGE / took_s / 1e6:.0f} MB/s")  # noqa: T201
