"""An erasure that is killed at any statement is finished by the same command or by a tick, with the same receipt."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pipeline.services.erase.check import check_erasures
from pipeline.services.reconcile import tick
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.fail_points import AFTERWARDS, OPERATIONS, fail_points
from tests.support.harness import sql, wait_until
from tests.support.kept import FRAMES, done_run, keys, requested_run, stored_video

SOAK = bool(os.environ.get("POSELINE_SOAK"))
#: `make test` kills at every ninth point, `make soak` at every one.
STEP = 1 if SOAK else 9
MOST = 400


def numbers(receipt: Any) -> Any:
    """A receipt without the SHA-256s, which are of other ids each time; and how many there are."""
    hashes = {kind: len(each) for kind, each in receipt["sha256"].items()}
    return {**receipt, "sha256": hashes}


@pytest.mark.timeout(900 if SOAK else 120)
def test_killed_at_every_statement(system: System, settings: Settings) -> None:
    receipts = []
    with fail_points(settings) as points:
        for point in [MOST, *range(1, MOST, STEP)]:
            video_id = stored_video(system, "match.mp4", tags={"person": "anna"})
            runs = [done_run(system, video_id), requested_run(system, video_id, params="2")]
            OPERATIONS["plan"](system, runs[1])  # else a tick does
            died = points.kill_at("erase", runs[0], point)
            if point % 2:
                wait_until(lambda: tick(system) or not sql(system, "SELECT 1 FROM erasure WHERE finished_at IS NULL"))
            AFTERWARDS["erase"](system, runs[0])
            assert sql(system, "SELECT 1 FROM video") == []
            assert keys(system, video_id, *runs) == []
            [(receipt,)] = sql(system, "SELECT receipt FROM erasure WHERE finished_at IS NOT NULL")
            receipts.append(numbers(receipt))
            assert [check.line for check in check_erasures(system) if not check.good] == []
            sql(system, "DELETE FROM erasure")
            if not died and point != MOST:
                break
    assert len(receipts) > 40 / STEP, "there are fewer points than an erasure has statements"
    assert receipts[0]["rows"]["frames"] == FRAMES
    assert [each for each in receipts if each != receipts[0]] == []
    assert sql(system, "SELECT 1 FROM frame UNION ALL SELECT 1 FROM frame_removal") == []
