"""The goals of `poseline bench decode`, at full size. Takes minutes and wants a quiet machine: not in `make test`."""

from __future__ import annotations

import pytest

from pipeline.bench.decode import Size, bench_decode
from tests.support.harness import environment


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", ["ingest", "decode", "memory"])
def test_goals(system, settings, monkeypatch, part):
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    figures = bench_decode(system, parts=[part], size=Size(), on_step=print)
    for figure in figures:
        print(figure.words, figure.ours, figure.unit, figure.outcome, figure.goal)  # noqa: T201  shown with a failure
    assert [figure.name for figure in figures if figure.met is False] == []
