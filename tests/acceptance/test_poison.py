"""A part of a video that kills whoever analyses it: set aside soon, and nobody else is harmed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.services.system import System
from tests.support.analysis import MODEL, put_model
from tests.support.harness import ask, assert_nothing_left, cut, processes, run_of, sql, wait_done, wait_for_run
from tests.support.keeper import kept
from tests.support.paths import ROOT

FRAMES, POISON_FRAME = 110, 45


def poisoned(signal: str, whom: str = "process") -> dict[str, str]:
    """The environment of a worker that analyses the poison frame."""
    folders = [str(ROOT / "tests" / "support" / "poison"), str(ROOT)]
    return {"PYTHONPATH": os.pathsep.join(folders), "TEST_POISON": f"{FRAMES}:{POISON_FRAME}:{signal}:{whom}"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("signal", ["SIGKILL", pytest.param("SIGSEGV", marks=pytest.mark.soak)])
def test_poison_is_given_up_after_five_deaths_and_harms_nobody(
    system: System, short_clip: Path, tmp_path: Path, signal: str
) -> None:
    put_model(system.settings.models_path)
    clip = cut(short_clip, tmp_path / "poisoned.mp4", FRAMES)
    with processes(system.settings, tmp_path / "logs") as running:
        starts = {
            "beat": running.beat,
            "worker": lambda: running.worker("--slots", "2", "--name", "a", **poisoned(signal)),
        }
        bad, good = ask(system, clip, "one", MODEL), ask(system, short_clip, "two", MODEL)
        with kept(starts):
            wait_done(system, good, 120)
            wait_for_run(system, bad, 120)
    ((attempts, deaths, reason),) = sql(
        system, "SELECT attempts, deaths, reason FROM chunk WHERE state = 'quarantined'"
    )
    assert (attempts, deaths) == (5, 2)
    assert signal in str(reason)
    assert sql(system, "SELECT DISTINCT state FROM chunk WHERE reason IS NULL") == [("done",)]
    assert sql(system, "SELECT count(*) FROM worker_death") == [(2,)], "a worker died though it was tried alone"
    assert "alone" in str(run_of(system, bad).reason)
    assert_nothing_left(system, bad)
    assert_nothing_left(system, good)
