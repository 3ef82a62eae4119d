"""The live page in a browser, before a real web process and a real live process, with a network that can be broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import cv2
from playwright.sync_api import Browser, Page, expect

from pipeline.core.roles import Role
from pipeline.services.system import System
from tests.support.browser import DESK, Visit, visit
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.video_maker import paint
from tests.support.viewing import READ
from tests.support.web import make_team, signed_in

READY_MS = 40_000
#: The server's results come late and in another order than they were sent, as over bad networks and proxies.
DISORDER = """
    const Real = window.WebSocket;
    window.WebSocket = class extends Real {
        set onmessage(listener) {
            super.onmessage = event => setTimeout(
                () => listener(event), typeof event.data === "string" ? 160 : 150 * Math.random());
        }
        set onclose(listener) { super.onclose = event => setTimeout(() => listener(event), 170); }
    };
"""


def numbered_camera(file: Path, frames: int, width: int = 320, height: int = 192) -> Path:
    """A clip for a fake camera whose frames have their numbers painted in, from 1 on."""
    # Neighbours differ in many bits, so that a mixture of two would be no number of either.
    numbers = [(number * 40503) & 0x7FFF for number in range(1, frames + 1)]
    pictures = (cv2.imencode(".jpg", paint(number, width, height))[1].tobytes() for number in numbers)
    file.write_bytes(b"".join(pictures))
    return file


@dataclass(frozen=True)
class LivePage:
    """The page of somebody of a team.

    Args:
        network: between the browser and the web process.
    """

    seen: Visit
    network: FaultProxy
    origin: str
    team: UUID

    @property
    def page(self) -> Page:
        """The page."""
        return self.seen.page

    def choose(self, mode: str) -> None:
        """Choose one of the three modes."""
        self.page.get_by_role("radio", name=mode).check()

    def start(self) -> None:
        """Turn the camera on."""
        self.page.get_by_role("button", name="Start").click()

    def says(self, text: str, timeout_ms: float = READY_MS) -> None:
        """Wait for a line."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=timeout_ms)

    def shows_results(self) -> None:
        """Wait for the first frame of the server."""
        expect(self.page.locator(".live-stage canvas.result")).to_be_visible(timeout=READY_MS)

    def watch(self, seconds: float) -> list[dict[str, Any]]:
        """What the server's canvas shows at each refresh of the screen: the picture's number, and the poses'."""
        found: list[dict[str, Any]] = self.page.evaluate(
            f"""async ms => {{
                const end = performance.now() + ms, found = [], read = {READ};
                while (performance.now() < end) {{
                    await new Promise(resolve => requestAnimationFrame(resolve));
                    if (!document.querySelector(".live-stage canvas.result").hidden)
                        found.push(read(".live-stage canvas.result"));
                }}
                return found;
            }}""",
            1000 * seconds,
        )
        return found

    def stop(self) -> None:
        """Stop, and wait until both sides have counted."""
        self.page.get_by_role("button", name="Stop").click()

    def verdict(self) -> str:
        """What the agreement meter says, once enough was compared."""
        told = self.page.locator(".live-agreement .verdict:not([data-verdict=unknown])")
        told.wait_for(timeout=READY_MS)
        return told.inner_text()

    def fates(self) -> dict[str, int]:
        """The page's counts."""
        rows = """[...document.querySelectorAll(".live-fates tr")].map(
            row => [row.dataset.fate, Number(row.querySelector("td").textContent)])"""
        return dict(self.page.evaluate(rows))


def distinct(seen: list[dict[str, Any]]) -> set[int]:
    """The numbers of the pictures that were shown, each with its own poses."""
    for each in seen:
        assert each["picture"] == each["poses"], each
    return {each["picture"] for each in seen}


@contextmanager
def live_page(
    browser: Browser,
    system: System,
    web: str,
    *,
    team: str = "ours",
    role: Role = Role.COACH,
    size: tuple[int, int] = DESK,
    dark: bool = False,
    init: str = "",
    host: str = "127.0.0.1",
) -> Iterator[LivePage]:
    """The page of somebody with that role, over a network that works until a test breaks it.

    Args:
        init: JavaScript that runs before the page's own.
        host: by which the browser calls this machine.
    """
    team_id = make_team(system, team)
    client = signed_in(system, web, f"{uuid4().hex}@example.org", **{team: role})
    port = urlsplit(web).port
    assert port is not None
    with fault_proxy(port) as network, visit(browser, size, dark=dark) as seen:
        origin = f"http://{host}:{network.port}"
        seen.page.context.add_cookies(
            [{"name": name, "value": value, "url": origin} for name, value in client.cookies.items()]
        )
        if init:
            seen.page.add_init_script(init)
        seen.page.goto(f"{origin}/t/{team_id}/live")
        yield LivePage(seen, network, origin, team_id)
