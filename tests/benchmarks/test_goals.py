"""The goals of `poseline bench` at full size. Takes half an hour and wants a quiet machine: not in `make test`."""

from __future__ import annotations

import pytest

from pipeline.bench.every import measure
from pipeline.bench.report import HEADINGS, rows
from pipeline.bench.size import PARTS, Size
from pipeline.inference.catalogue import BUNDLED_MODEL
from tests.support.paths import DEMO_CLIP


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", PARTS)
def test_goals(tmp_path, part):
    report = measure(
        tmp_path, tmp_path / "models", clip=DEMO_CLIP, model=BUNDLED_MODEL, parts=(part,), size=Size(), say=print
    )
    print(HEADINGS, *rows(report.figures), sep="\n")  # noqa: T201  shown with a failure
    assert [figure.name for figure in report.figures if figure.met is False] == []
