"""A run of two million frames is finished and exported in flat memory and in a time that grows with its frames."""

from __future__ import annotations

import os

import pytest

from tests.support.long_run import cost_of, make_long_run

FEW, MANY = 200_000, 2_000_000
#: The index has 25 bytes a frame; reading it takes it several times.
INDEX_BYTES = 100
SLACK_BYTES = 30e6
#: Of CPU time per frame; the machine may be busy with other work meanwhile.
MORE_CPU = 1.5


@pytest.mark.skipif("POSELINE_SOAK" not in os.environ, reason="takes half an hour; `make soak` runs it")
@pytest.mark.timeout(7200)
def test_two_million_frames(system, settings):
    few, many = (make_long_run(system, frames) for frames in (FEW, MANY))
    for step in ("finish", "jsonl", "csv", "parquet"):
        small, large = cost_of(settings, few, step), cost_of(settings, many, step)
        print(step, small, large)  # noqa: T201  shown with a failure
        assert large.grown_bytes - small.grown_bytes < INDEX_BYTES * (MANY - FEW) + SLACK_BYTES, step
        assert large.cpu_s / MANY < MORE_CPU * small.cpu_s / FEW, step
