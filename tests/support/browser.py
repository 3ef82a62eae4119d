"""The Chromium of the tests, driven from the test's own process. It reaches this machine and nothing else."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserType, Page, sync_playwright

from tests.support.paths import ROOT

AXE = ROOT / "pipeline" / "web" / "node_modules" / "axe-core" / "axe.min.js"
UNPACKED = ROOT / "pipeline" / "web" / "node_modules" / ".browser"
#: Widths of a desk and of a phone in portrait, in CSS pixels, with their heights.
DESK, PHONE = (1440, 900), (390, 844)
#: Of the smallest phones.
NARROW = (320, 640)
#: A name as on a local network: this machine, yet no secure context on plain HTTP.
LAN_HOST = "coach.test"
ARGUMENTS = (
    f"--host-resolver-rules=MAP {LAN_HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    # Nothing listens there, so that addresses are refused as names are.
    "--proxy-server=127.0.0.1:9",
    f"--proxy-bypass-list=127.0.0.1;localhost;{LAN_HOST}",
)


def environment() -> dict[str, str]:
    """With the browser's own fonts, and its own libraries where the machine lacks them."""
    env = {**os.environ, "FONTCONFIG_FILE": str(UNPACKED / "fonts.conf")}
    executable = UNPACKED / "chromium"
    if subprocess.run([executable, "--version"], env=env, capture_output=True, check=False).returncode:
        env["LD_LIBRARY_PATH"] = str(UNPACKED / "al2023" / "lib")
    return env


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """A browser for one block, with more arguments.

    `TEST_BROWSER` names another Chromium where npm has none for the machine.
    """
    own = os.environ.get("TEST_BROWSER")
    if own is None and (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("needs TEST_BROWSER, the path of a Chromium: the tests bring one for Linux on x86-64 alone")
    if own is None and not (UNPACKED / "chromium").exists():
        pytest.fail("the browser of the tests is not unpacked; run `make test`, or `make lint` alone")
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium, *more)
        try:
            yield browser
        finally:
            browser.close()


def launch(kind: BrowserType, *more: str) -> Browser:
    """One more browser, for tests that end it themselves; `kind` is the `browser_type` of another."""
    own = os.environ.get("TEST_BROWSER")
    return kind.launch(
        executable_path=own or UNPACKED / "chromium",
        env={**os.environ} if own else dict(environment()),
        args=[*ARGUMENTS, *more],
    )


@contextmanager
def firefox() -> Iterator[Browser]:
    """The machine's own Firefox for one block: `TEST_FIREFOX`, or what is on the path. H.264 it has with libavcodec."""
    own = os.environ.get("TEST_FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
    if own is None:
        pytest.skip("needs a Firefox on the path, or its path in TEST_FIREFOX")
    with sync_playwright() as playwright:
        browser = playwright.firefox.launch(
            channel="moz-firefox", executable_path=own, firefox_user_prefs={"media.gmp-manager.updateEnabled": False}
        )
        try:
            yield browser
        finally:
            browser.close()


#: What does not fit: the page's own width, and what is chosen in menus; a menu's arrow takes 20 px of it.
CUT_OFF = """() => {
    const {scrollWidth} = document.documentElement;
    const context = document.createElement("canvas").getContext("2d");
    const menus = [...document.querySelectorAll("select")].filter(menu => {
        const style = getComputedStyle(menu);
        context.font = style.font;
        const room = menu.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - 19;
        return menu.checkVisibility() && context.measureText(menu.selectedOptions[0]?.text ?? "").width > room;
    });
    const wide = scrollWidth > innerWidth ? [`the page is ${scrollWidth} px wide, and the window ${innerWidth}`] : [];
    return [...wide, ...menus.map(menu => `menu cut off at ${innerWidth} px: ${menu.selectedOptions[0].text}`)];
}"""


def cut_off(page: Page) -> list[str]:
    """What the window's width cuts off, or makes a person scroll sideways for; a phone's on the smallest ones, too."""
    found: list[str] = page.evaluate(CUT_OFF)
    size = page.viewport_size
    if size == {"width": PHONE[0], "height": PHONE[1]}:
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        found += page.evaluate(CUT_OFF)
        page.set_viewport_size(size)
    return found


@dataclass
class Visit:
    """A page in a browser profile of its own.

    Attributes:
        asked: the URL of every request that the page made, of those that were refused too.
        complaints: what it wrote to the console as a warning or error, and errors that nothing caught.
    """

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def asked_elsewhere(self, origin: str) -> list[str]:
        """The requests to any other place than this origin."""
        return [url for url in self.asked if not url.startswith((f"{origin}/", f"blob:{origin}/"))]

    def barriers(self) -> list[str]:
        """What axe-core calls serious or critical for people who see, hear or move otherwise; with the element."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{violation['id']}: {node['html']}"
            for violation in found["violations"]
            if violation["impact"] in {"serious", "critical"}
            for node in violation["nodes"]
        ]

    def shot(self, to: Path) -> bytes:
        """A PNG of the whole page."""
        return self.page.screenshot(path=to, full_page=True)


@contextmanager
def visit(browser: Browser, size: tuple[int, int] = DESK, *, dark: bool = False) -> Iterator[Visit]:
    """An empty page for one block; a phone's size comes with touch."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        has_touch=size == PHONE,
        locale="en-GB",
        timezone_id="Europe/Berlin",
    )
    visit = Visit(context.new_page())
    context.on("request", lambda request: visit.asked.append(request.url))
    context.on(
        "console",
        lambda said: visit.complaints.append(said.text) if said.type in {"warning", "error"} else None,
    )
    context.on("weberror", lambda error: visit.complaints.append(str(error.error)))
    try:
        yield visit
    finally:
        context.close()
