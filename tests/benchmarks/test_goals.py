"""The goals of `poseline bench` at full size. Takes half an hour and wants a quiet machine: not in `make test`."""

from __future__ import annotations

import pytest

from pipeline.bench.figures import Size
from pipeline.bench.report import HEADINGS, table_rows
from pipeline.bench.runner import PARTS, run_benchmark
from pipeline.inference.catalogue import BUNDLED_MODEL
from tests.benchmarks.people import measure_people
from tests.support.paths import DEMO_CLIP


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", [*PARTS, "people"])
def test_goals(tmp_path, part):
    parts = {part: {**PARTS, "people": measure_people}[part]}
    report = run_benchmark(
        tmp_path, tmp_path / "models", clip=DEMO_CLIP, model=BUNDLED_MODEL, parts=parts, size=Size(), on_step=print
    )
    print(HEADINGS, *table_rows(report.figures), sep="\n")  # noqa: T201  shown with a failure
    assert [figure.name for figure in report.figures if figure.met is False] == []
