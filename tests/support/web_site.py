"""`poseline web` as a process that a test may kill, with faults between it, the browser and the store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import urllib3
from playwright.sync_api import Browser, Page

from pipeline.core.object_keys import video_key
from pipeline.core.roles import Role
from pipeline.services.system import System
from tests.support.browser import DESK, Visit, visit
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.harness import Processes, kill, sql, wait_until
from tests.support.uploads import PART
from tests.support.web import make_team, signed_in

#: Of the smallest parts, so that short files have several.
SMALL_PARTS = {"POSELINE_UPLOAD_PART_BYTES": str(PART)}


@dataclass
class Site:
    """The pages of one team, served by a process.

    Attributes:
        browser_side: what the browser talks to; it forwards to the process.
        store_side: what the process talks to instead of the object store.
    """

    system: System
    running: Processes
    browser_side: FaultProxy
    store_side: FaultProxy
    port: int
    team: UUID
    more: dict[str, str] = field(default_factory=dict)
    host: str = "localhost"
    direct: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        """As the browser sees it."""
        return f"http://{self.host}:{self.port if self.direct else self.browser_side.port}"

    @property
    def upload_page(self) -> str:
        """Where videos are dropped."""
        return f"{self.origin}/t/{self.team}/upload"

    def start(self) -> None:
        """Start the process, and wait until it answers."""
        self.process = self.running.start("web", "--port", str(self.port), **self.more)
        url = f"http://127.0.0.1:{self.port}/api/v1/session"

        def answers() -> bool:
            with suppress(urllib3.exceptions.HTTPError):
                return urllib3.request("GET", url, retries=False).status == 200
            return False

        wait_until(answers, 30)

    def kill(self) -> None:
        """Kill the process."""
        assert self.process is not None
        kill(self.process)

    @contextmanager
    def coach(self, browser: Browser, size: tuple[int, int] = DESK, *, dark: bool = False) -> Iterator[Visit]:
        """A new profile of the browser in which a coach of the team has opened the page for uploads."""
        count = sql(self.system, "SELECT count(*) FROM account")[0][0]
        client = signed_in(self.system, self.origin, f"coach{count}@example.org", ours=Role.COACH)
        with visit(browser, size, dark=dark) as seen:
            cookies = [{"name": name, "value": value, "url": self.origin} for name, value in client.cookies.items()]
            seen.page.context.add_cookies(cookies)  # type: ignore[arg-type]
            seen.page.goto(self.upload_page)
            seen.page.get_by_role("button", name="Choose videos").wait_for()
            yield seen

    def stored_parts(self) -> int:
        """How many parts of open uploads are stored."""
        [(count,)] = sql(self.system, "SELECT count(*) FROM upload_part")
        assert isinstance(count, int)
        return count

    def stored(self, name: str) -> bytes:
        """What the store has of the one complete video of that name."""
        rows = sql(self.system, "SELECT id FROM video WHERE name = :name AND state <> 'uploading'", name=name)
        [(video_id,)] = rows
        assert isinstance(video_id, UUID)
        return b"".join(self.system.store.iter_whole(self.system.store.head(video_key(self.team, video_id))))


@contextmanager
def site(
    system: System,
    running: Processes,
    *,
    host: str = "localhost",
    public: bool = False,
    direct: bool = False,
    **more: str,
) -> Iterator[Site]:
    """A site for one block.

    Args:
        host: by which the browser knows it.
        public: whether browsers may send parts to the store themselves.
        direct: nothing stands between browser, process and store, so that they are as fast as they can be.
        more: in the process's environment.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    store_port = urlsplit(system.settings.s3_endpoint).port
    assert store_port is not None
    with fault_proxy(port) as browser_side, fault_proxy(store_port) as store_side:
        if not direct:
            more["POSELINE_S3_ENDPOINT"] = f"http://127.0.0.1:{store_side.port}"
        more = {**SMALL_PARTS, **more}
        made = Site(system, running, browser_side, store_side, port, make_team(system, "ours"), more, host, direct)
        if public:
            made.more |= {"POSELINE_S3_PUBLIC_ENDPOINT": system.settings.s3_endpoint, "POSELINE_WEB_URL": made.origin}
        made.start()
        yield made


def choose(page: Page, *paths: Path) -> None:
    """Choose files as a person does in the dialog."""
    page.get_by_label("Choose videos", exact=True).locator("xpath=self::input").set_input_files(paths)


def wait_sent(page: Page, name: str, timeout_s: float) -> None:
    """Wait until the page says that a file is sent."""
    page.locator("li[data-state=done]", has_text=name).wait_for(timeout=timeout_s * 1000)


def kill_browser(browser: Browser) -> None:
    """Kill a browser, as a crash does; it cannot say goodbye."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    [pid] = [each["id"] for each in processes if each["type"] == "browser"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not browser.is_connected() or _turn(browser), 10)


def _turn(browser: Browser) -> bool:
    """Let Playwright hear what has happened."""
    with suppress(Exception):
        browser.contexts[0].pages[0].wait_for_timeout(20)
    return not browser.is_connected()
