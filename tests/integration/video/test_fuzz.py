"""Mutated videos of every container through ingest and decoding: nothing crashes, hangs, leaks or loses a frame.

Here each seed as it is and its first mutations; `make soak` takes many more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.settings import Settings
from tests.conftest import opened
from tests.fuzz.campaign import fuzz_settings, make_cases, run_cases
from tests.fuzz.mutations import make_case
from tests.fuzz.seeds import RECIPES
from tests.support.harness import sql

FILES = 250


@pytest.mark.timeout(600)
def test_no_mutated_video_harms_anything(settings: Settings, tmp_path: Path) -> None:
    with opened(fuzz_settings(settings)) as system:
        tally = run_cases(system, make_cases(0, FILES), tmp_path / "cases")
        assert tally.problems == []
        intact = dict(sql(system, "SELECT name, frames FROM video WHERE name LIKE '%-0' AND state = 'ready'"))
        ends = dict(sql(system, "SELECT state, count(*) FROM video GROUP BY state"))
        for table in ("video", "run", "chunk"):
            assert sql(system, f"SELECT 1 FROM {table} WHERE lease_token IS NOT NULL") == []
    assert intact == {f"{name}-0": recipe.frames for name, recipe in RECIPES.items()}
    assert not [name for name in tally.damaged if name.endswith("-0")]
    assert set(ends) == {"ready", "rejected"}
    assert sum(ends.values()) == FILES
    assert min(ends.values()) > FILES / 4, "mutations must neither break nor spare nearly every file"
    assert not tally.gave_up, "what is wrong with a file must be seen and said at once, not after many tries"


@pytest.mark.parametrize("seed", RECIPES)
def test_a_case_is_its_seed_and_number(seed: str) -> None:
    cases = [make_case(seed, number) for number in range(1, 40)]
    assert cases == [make_case(seed, number) for number in range(1, 40)]
    assert len({case.data for case in cases}) > 30
