"""Whatever breaks while a video is sent, the store has the same bytes at the end, and nothing of it is left over."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pipeline.services.system import System
from tests.support.browser import launch
from tests.support.harness import processes, wait_until
from tests.support.uploads import PART, assert_no_upload_left
from tests.support.web_site import Site, choose, kill_browser, site, wait_sent

MIB = 2**20


def random_file(folder: Path, size: int, name: str = "match.mp4") -> Path:
    """A file that no other is like."""
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def after_bytes(limit: int, then: Callable[[], None]) -> Callable[[int, bytes], bool]:
    """What a proxy calls for what is sent: once, after so many bytes, something else is done beside."""
    passed = 0

    def on_sent(_: int, data: bytes) -> bool:
        nonlocal passed
        before, passed = passed, passed + len(data)
        if before < limit <= passed:
            threading.Thread(target=then).start()
        return False

    return on_sent


def test_a_server_that_is_killed_connections_that_drop_and_a_store_that_fails(
    system: System, browser: Browser, tmp_path: Path
) -> None:
    file = random_file(tmp_path, 6 * PART + 4321)
    with processes(system.settings, tmp_path / "logs") as running, site(system, running) as ours:
        assert send_through_faults(ours, browser, file, 60) == {"dropped", "killed", "store"}
        assert ours.stored(file.name) == file.read_bytes()
        assert_no_upload_left(system, ours.team)


def send_through_faults(ours: Site, browser: Browser, file: Path, timeout_s: float) -> set[str]:
    """Send a file while connections are reset in its first quarter, the store fails in its second, and the server is
    killed in its third. Returns what happened."""
    size, happened = file.stat().st_size, set()
    resets = [size // 16, size // 8, size // 5]
    passed = 0

    def on_sent(_: int, data: bytes) -> bool:
        nonlocal passed
        before, passed = passed, passed + len(data)
        if resets and passed > resets[0]:
            resets.pop(0)
            happened.add("dropped")
            return True
        if before < size // 3 <= passed:
            happened.add("store")
            ours.store_side.answer = (
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            ours.store_side.hit = 0
            threading.Thread(target=heal_store).start()
        if "killed" not in happened and "store" in healed and passed > 3 * size // 4:
            happened.add("killed")
            assert ours.process is not None
            os.killpg(ours.process.pid, signal.SIGKILL)
        return False

    healed = set()

    def heal_store() -> None:
        wait_until(lambda: ours.store_side.hit >= 6, timeout_s)
        ours.store_side.heal()
        healed.add("store")

    ours.browser_side._on_sent = on_sent
    with ours.coach(browser) as seen:
        choose(seen.page, file)
        wait_until(lambda: "killed" in happened or _turn(seen.page), timeout_s, "the server to be killed")
        ours.kill()
        seen.page.wait_for_timeout(300)
        ours.start()
        wait_sent(seen.page, file.name, timeout_s)
    return happened


def _turn(page: object) -> bool:
    page.wait_for_timeout(50)  # type: ignore[attr-defined]
    return False


def test_a_browser_that_is_killed_goes_on_in_another(system: System, browser: Browser, tmp_path: Path) -> None:
    file = random_file(tmp_path, 4 * PART + 99)
    with processes(system.settings, tmp_path / "logs") as running, site(system, running) as ours:
        resent = send_by_two_browsers(ours, browser, file, PART, 30)
        # What was sent holds the page's other requests too, well under a MiB.
        assert resent < file.stat().st_size - PART + MIB, "what was there is not sent again"
        assert ours.stored(file.name) == file.read_bytes()
        assert_no_upload_left(system, ours.team)


def send_by_two_browsers(ours: Site, browser: Browser, file: Path, part_bytes: int, timeout_s: float) -> int:
    """Send a file by a browser that is killed in the middle, then by another. Returns what the second has sent."""
    size = file.stat().st_size

    def freeze() -> None:
        ours.browser_side.frozen = True

    # Three parts are on their way at once: once more than that was sent, one has been answered for.
    ours.browser_side._on_sent = after_bytes(max(3 * part_bytes + MIB // 2, size // 2), freeze)
    first = launch(browser.browser_type)
    with pytest.raises(Exception, match="closed"), ours.coach(first) as seen:  # noqa: PT012
        choose(seen.page, file)
        wait_until(lambda: ours.browser_side.frozen or _turn(seen.page), timeout_s)
        assert wait_until(ours.stored_parts, timeout_s) >= 1
        kill_browser(first)
        seen.page.title()
    ours.browser_side.reset_all()
    ours.browser_side.heal()
    sent = 0

    def count(_: int, data: bytes) -> bool:
        nonlocal sent
        sent += len(data)
        return False

    ours.browser_side._on_sent = count
    with ours.coach(browser) as seen:
        seen.page.get_by_role("heading", name="Not sent whole").wait_for()
        choose(seen.page, file)
        wait_sent(seen.page, file.name, timeout_s)
    return sent
