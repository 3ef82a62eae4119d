"""Every odd video of the test matrix in real browsers: each picture under its own poses, at steps, seeks and playing.

What a browser does not show by itself, such as HEVC, AVI and times that run backwards, it shows as the copy that a
worker makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pipeline.api import protection
from pipeline.services.proxy import make_proxy
from pipeline.services.system import System
from tests.support.browser import chromium, firefox
from tests.support.plain_decode import plain_decode
from tests.support.video_cases import CASES
from tests.support.viewing import analysed, assert_exact, opened
from tests.support.web import served


@pytest.fixture(scope="module", params=[chromium, firefox], ids=lambda which: which.__name__)
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A running browser: the tests' own Chromium, or the machine's Firefox."""
    with request.param() as browser:
        yield browser


@pytest.mark.timeout(600)  # as on a machine that does much else
@pytest.mark.parametrize("name", list(CASES))
def test_every_odd_video_is_shown_with_its_own_poses(
    browser: Browser, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if browser.browser_type.name == "firefox":  # where Playwright's own scripts are the page's
        monkeypatch.setattr(protection, "POLICY", protection.POLICY.replace("'wasm-unsafe-eval'", "'unsafe-eval'"))
    case = CASES[name]
    path = case.make(tmp_path)
    numbers = [frame.number for frame in plain_decode(path, case)]
    video = analysed(system, path, case.size)
    with served(system) as origin, opened(browser, system, origin, video, wait=False) as viewer:
        copied = viewer.waits_for_copy()
        if copied:
            make_proxy(system, video[1], "w")
            viewer.wait()
        print(f"{name}: {viewer.certainty}{', a copy' if copied else ''}")  # noqa: T201
        assert viewer.certainty != "guessed"
        assert_exact(viewer, steps=300, seeks=100, frames=len(numbers), play_s=2, numbers=numbers, played=0)
