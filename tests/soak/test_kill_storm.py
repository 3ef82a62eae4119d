"""A seeded storm of SIGKILL: no chunk is given up for it, and every run ends as an undisturbed one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.services.system import System
from tests.support.analysis import MODEL
from tests.support.harness import ask, kill, processes, sql, wait_until
from tests.support.keeper import kept
from tests.support.kill_storm import endure, patient, processes_of, put_oracle
from tests.support.video_maker import make_video


@pytest.mark.timeout(300)
def test_a_storm_of_kills_harms_no_chunk(system: System, tmp_path: Path) -> None:
    with processes(patient(system), tmp_path / "logs") as running:
        tally = endure(system, running, tmp_path, kills=12, seed=1, mean_s=0.3)
    assert (tally.given_up, tally.differing) == (0, 0), tally
    assert tally.deaths > 0, "no kill found a worker at work"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rule", ["evidence", "every death counts"])
def test_a_chunk_whose_workers_are_killed_again_and_again(system: System, tmp_path: Path, rule: str) -> None:
    """The negative control: by the old rule the storm goes red."""
    put_oracle(system.settings.models_path)
    clip = make_video(tmp_path / "clip.mp4", 240)
    old = {"TEST_EVERY_DEATH_COUNTS": "1"} if rule != "evidence" else {}

    def holder() -> str | None:
        """The worker that analyses the first chunk."""
        found = sql(system, "SELECT worker FROM chunk WHERE idx = 0 AND lease_token IS NOT NULL")
        return str(found[0][0]).partition("@")[0] if found else None

    with processes(system.settings, tmp_path / "logs") as running, kept(processes_of(running, **old)) as keeper:
        run_id = ask(system, clip, model=MODEL)
        for attempt in range(3):
            name = wait_until(holder, 30)
            kill(keeper.running[name])
            if attempt == 1:  # another machine goes, too
                kill(keeper.running[next(each for each in keeper.running if each not in {name, "beat"})])
            wait_until(lambda no=attempt: _counted(system) > no, 30, "the death to be counted")
        states = sql(system, "SELECT state FROM chunk WHERE idx = 0")
        assert (states == [("quarantined",)]) == (rule != "evidence")
    assert run_id


def _counted(system: System) -> int:
    ((count,),) = sql(system, "SELECT deaths + expirations + (state = 'quarantined')::int FROM chunk WHERE idx = 0")
    return int(str(count))
