"""Every odd video that a browser plays by itself: each picture under its own poses, at steps, seeks and while playing.

What a browser does not show, it must refuse with a reason, and never show with poses that are not its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pipeline.services.system import System
from tests.support.browser import chromium
from tests.support.video_cases import CASES
from tests.support.viewing import analysed, assert_exact, opened
from tests.support.web import served

#: What Chromium with H.264, VP8, VP9 and AV1 decodes of each, found by trying; the others are refused.
PLAYED = (
    *(
        "vfr_mp4",
        "vfr_mkv",
        "240_fps",
        "late_start_mp4",
        "late_start_mkv",
        "trimmed",
        "h264_open_gop",
        "vp9_superframes",
    ),
    *("gap_of_hours_mp4", "turned_90", "turned_180", "turned_270", "wide_pixels"),
)


@pytest.fixture(scope="module")
def browser():  # type: ignore[no-untyped-def]
    """A running Chromium."""
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("name", list(CASES))
def test_every_odd_video(browser: Browser, system: System, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    video = analysed(system, case.make(tmp_path))
    frames = len(case.numbers or ())
    with served(system) as origin, opened(browser, system, origin, video, wait=False) as viewer:
        refused = viewer.refusal()
        print(f"{name}: {refused or viewer.certainty}")  # noqa: T201
        if refused is None:
            assert_exact(viewer, steps=300, seeks=100, frames=frames, play_s=2, numbers=case.numbers, played=0)
