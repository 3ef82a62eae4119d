"""The table of the three live modes in docs/live.md, measured in a real Chromium; not in `make test`.

Run it on a quiet machine: `pytest tests/benchmarks/test_live_page.py -s`. With `SHOT=docs/live.jpg` in the environment
it takes the picture of that page anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from pipeline.services.system import System
from tests.conftest import fresh_settings, opened
from tests.support.browser import chromium
from tests.support.fake_camera import arguments, demo_camera
from tests.support.harness import processes
from tests.support.live import live_process
from tests.support.live_page import LivePage, live_page
from tests.support.web import served

SETTLE_S, MEASURE_S = 6.0, 15.0
#: Nothing is refused or degraded while it is measured.
PATIENT = {"POSELINE_LIVE_BUDGET_MS": "60000"}
ROWS = """() => [...document.querySelectorAll(".live-times")].map(section =>
    [section.querySelector("h2").textContent, ...[...section.querySelectorAll("tbody tr")].map(row =>
        [row.querySelector("th").innerText.trim(), ...[...row.querySelectorAll("td")].map(cell => cell.innerText)]
        .join(" | "))].join("\\n"))"""


@pytest.fixture
def system(servers: Path, template: str, tmp_path: Path) -> Iterator[System]:
    """A system of its own."""
    with fresh_settings(servers, template, tmp_path / "home") as settings, opened(settings) as system:
        yield system


def told(live: LivePage, mode: str) -> str:
    """Run a mode until its last 100 frames are typical, and tell its meters and counts."""
    live.choose(mode)
    time.sleep(SETTLE_S + MEASURE_S)
    counts = live.fates() if live.page.locator(".live-fates").count() else {}
    return "\n".join([f"== {mode}", *live.page.evaluate(ROWS), str(counts)])


@pytest.mark.timeout(300)
def test_the_three_modes(system: System, tmp_path: Path) -> None:
    clip = demo_camera(tmp_path / "demo.mjpeg", 6)
    with (
        processes(system.settings, tmp_path / "logs") as running,
        served(system) as web,
        live_process(running, system, **PATIENT),
        chromium(*arguments(clip)) as browser,
        live_page(browser, system, web) as live,
    ):
        live.start()
        live.shows_results()
        for mode in ("Full server", "Hybrid", "On this device"):
            print(told(live, mode), flush=True)  # noqa: T201
            if mode == "Hybrid" and "SHOT" in os.environ:
                live.page.screenshot(path=tmp_path / "shot.png")
                picture = cv2.imread(str(tmp_path / "shot.png"))
                cv2.imwrite(os.environ["SHOT"], picture, [cv2.IMWRITE_JPEG_QUALITY, 65])
        live.says("The server counted the same")
