"""The suite goes red without what it is there to hold: a fault test that passes elsewhere fails here, clause by clause.

Each test is called as pytest would call it, with one clause of the product taken out.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, and_, true

from pipeline.core.frame_check import Findings, FrameCheck
from pipeline.db.leases import Lease
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.acceptance.faults import test_fail_points, test_lease_machine
from tests.integration.db import test_chunks
from tests.integration.services import test_verify
from tests.support.video_maker import make_video

RED = (AssertionError, pytest.fail.Exception)


def anybody_holds(lease: Lease) -> ColumnElement[bool]:
    """The row, whoever's token it has."""
    columns = lease.table.primary_key.columns
    return and_(true(), *(column == value for column, value in zip(columns, lease.key, strict=True)))


def test_without_the_fencing_clause_a_late_commit_gets_in(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lease, "is_held", anybody_holds)
    with pytest.raises(RED):
        test_chunks.test_a_zombie_cannot_commit(system)


def test_without_the_fencing_clause_the_state_machine_finds_an_order(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lease, "is_held", anybody_holds)
    with pytest.raises((*RED, ExceptionGroup)):  # a group where several orders go wrong in several ways
        test_lease_machine.test_whatever_happens_in_whatever_order(system)


def test_without_the_reconciler_a_killed_worker_s_run_never_ends(
    system: System, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(test_fail_points, "tick", lambda _: None)
    patient = settings.model_copy(update={"lease_s": 60.0})
    with pytest.raises(RED, match="running"):
        test_fail_points.test_killed_at_every_statement(system, patient, tmp_path, "claim and commit")


@pytest.mark.parametrize("kind", ["deleted", "swapped"])
def test_without_the_frame_check_a_damaged_run_becomes_done(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.setattr(FrameCheck, "findings", lambda _: Findings(rows=20))
    with pytest.raises(RED):
        test_verify.test_a_damaged_run_does_not_become_done(system, make_video(tmp_path / "v.mp4", 20), kind)
