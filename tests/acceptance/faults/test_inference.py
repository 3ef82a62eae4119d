"""A model for which memory does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.inference.engines.placement import Placement
from pipeline.services import chunk_poses, detect
from pipeline.services.finish import finish_run
from pipeline.services.model_cache import ModelCache
from tests.acceptance.faults.rig import Rig
from tests.acceptance.faults.standard_checks import standard_checks
from tests.support.analysis import analyse
from tests.support.harness import run_of, sql, wait_until


def test_a_chunk_for_which_memory_does_not_suffice(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is set aside after five errors, its frames are named as missing, and the others are done."""
    system = rig.system
    run_id = analyse(system, rig.clip, put=False, chunks=(0, 1, 3))
    rows = chunk_poses.iter_pose_rows

    def hungry(*args: Any) -> Iterator[Any]:
        if args:
            yield next(rows(*args))
        raise MemoryError("cannot allocate 8 GiB")

    monkeypatch.setattr(chunk_poses, "iter_pose_rows", hungry)
    monkeypatch.setattr(detect, "try_alone", lambda *_: list(hungry()))
    models = ModelCache(system, Placement("cpu"))
    due = "SELECT 1 FROM chunk WHERE idx = 2 AND not_before <= clock_timestamp()"
    for _ in range(system.settings.max_errors):
        wait_until(lambda: sql(system, due), 10, "the end of its pause")
        with pytest.raises(MemoryError):
            detect.detect_chunk(system, models, run_id, 2, "w")
    assert sql(system, "SELECT state, reason FROM chunk WHERE idx = 2") == [
        ("quarantined", "unexpected MemoryError: cannot allocate 8 GiB")
    ]
    with pytest.raises(Exception, match="30 of 120 frames could not be analysed"):
        finish_run(system, run_id, "w")
    assert run_of(system, run_id).state == "failed"
    assert sql(system, "SELECT count(*), count(missing), count(DISTINCT frame) FROM frame") == [(120, 30, 120)]
    standard_checks(system, rig.folder, messages=False)
