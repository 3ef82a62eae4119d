"""Twenty thousand mutated videos, or FUZZ_FILES of them from the number FUZZ_FIRST on, for `make soak`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.settings import Settings
from tests.conftest import opened
from tests.fuzz.campaign import fuzz_settings, make_cases, run_cases

FILES = int(os.environ.get("FUZZ_FILES", "20000"))
FIRST = int(os.environ.get("FUZZ_FIRST", "1000"))


@pytest.mark.timeout(7200)
def test_no_mutated_video_of_many_harms_anything(settings: Settings, tmp_path: Path) -> None:
    with opened(fuzz_settings(settings)) as system:
        tally = run_cases(system, make_cases(FIRST, FILES), tmp_path / "cases")
    assert tally.problems == []
    assert tally.files == FILES
