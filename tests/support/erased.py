"""Erase in a test, and what has to hold afterwards."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pipeline.services.erase.check import check_erasures, list_erasures
from pipeline.services.erase.targets import begin_erasure, find_asked
from pipeline.services.erase.work import go_on
from pipeline.services.system import System
from tests.support.harness import sql
from tests.support.kept import keys


def erase(system: System, *names: str, team: str | None = None, tags: dict[str, str] | None = None) -> UUID:
    """Erase, and check the receipt against what is there."""
    erasure_id = begin_erasure(system, find_asked(system, names, team=team, tags=tags or {}), "a test")
    assert go_on(system, erasure_id)
    [check] = check_erasures(system, [erasure_id])
    assert check.good, check.line
    return erasure_id


def receipt(system: System, erasure_id: UUID) -> Any:
    """The receipt of a finished erasure."""
    [erasure] = list_erasures(system, [erasure_id])
    assert erasure.finished_at is not None
    return erasure.receipt


def is_gone(system: System, video_id: UUID, *runs: UUID) -> bool:
    """Whether no table and no object has these ids."""
    for table, column in (("video", "id"), ("run", "video_id")):
        assert sql(system, f"SELECT 1 FROM {table} WHERE {column} = :id", id=video_id) == []
    for table in ("chunk", "frame", "frame_removal", "comparison"):
        for run_id in runs:
            assert sql(system, f"SELECT 1 FROM {table} WHERE run_id = :id", id=run_id) == []
    assert keys(system, video_id, *runs) == []
    return True
