"""A run of two million frames is finished and exported in flat memory and in a time that grows with its frames."""

from __future__ import annotations

import os

import pytest

from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.long_run import Cost, cost_of, make_long_run

FEW, MANY = 200_000, 2_000_000
STEPS = ("finish", "jsonl", "csv", "parquet")
#: The index has 25 bytes a frame, the row of the database from which it is read about 14, its summary 8.
INDEX_BYTES = 50
SLACK_BYTES = 30e6
#: Of CPU time per frame; the machine may be busy with other work meanwhile.
MORE_CPU = 1.5


@pytest.mark.skipif("POSELINE_SOAK" not in os.environ, reason="takes half an hour; `make soak` runs it")
@pytest.mark.timeout(7200)
def test_two_million_frames(system: System, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    runs = {frames: make_long_run(system, frames) for frames in (FEW, MANY)}
    costs: dict[tuple[str, int], Cost] = {}
    for step in STEPS:
        for frames, run_id in runs.items():
            costs[step, frames] = cost = cost_of(settings, run_id, step)
            per_frame = f"{1e6 * cost.cpu_s / frames:.0f} us of CPU a frame"
            line = f"{step} {frames:,}: {cost.seconds:.0f} s, {per_frame}, {cost.grown_bytes / 1e6:.0f} MB"
            with capsys.disabled():
                print(line, flush=True)  # noqa: T201  its figures are in the docs
    for step in STEPS:
        small, large = costs[step, FEW], costs[step, MANY]
        assert large.grown_bytes - small.grown_bytes < INDEX_BYTES * (MANY - FEW) + SLACK_BYTES, step
        assert large.cpu_s / MANY < MORE_CPU * small.cpu_s / FEW, step
