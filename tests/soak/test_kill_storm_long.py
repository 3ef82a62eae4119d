"""Five hundred kills, or STORM_KILLS of them, by the seed STORM_SEED, for `make soak`.

STORM_JSON names a file for the figures that docs/faults.md shows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.services.system import System
from tests.support.harness import processes
from tests.support.kill_storm import endure, patient

KILLS = int(os.environ.get("STORM_KILLS", "500"))
SEED = int(os.environ.get("STORM_SEED", "12"))


@pytest.mark.timeout(7200)
def test_no_innocent_chunk_is_given_up_in_a_long_storm(
    system: System, servers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with processes(patient(system), tmp_path / "logs") as running:
        tally = endure(system, running, tmp_path, kills=KILLS, seed=SEED, mean_s=0.3, workers=3, servers=servers)
    with capsys.disabled():
        print(f"\n{tally}")  # noqa: T201  its figures are in the docs
    if to := os.environ.get("STORM_JSON"):
        Path(to).write_text(json.dumps({"seed": SEED, **vars(tally)}, indent=1) + "\n")
    assert (tally.given_up, tally.differing) == (0, 0), tally
