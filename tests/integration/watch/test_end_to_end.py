"""Real workers and a real beat: what another tool puts into a bucket is analysed, with nobody asking."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.services.system import System
from pipeline.services.teams import add_team
from pipeline.services.verify import verify_run
from tests.support.harness import cut, processes, run_of, sql, wait_done, wait_until
from tests.support.paths import DEMO_CLIP
from tests.support.watched_bucket import WatchedPrefix


@pytest.mark.timeout(240)
def test_what_is_put_into_the_bucket_is_analysed(system: System, tmp_path: Path) -> None:
    clip = cut(DEMO_CLIP, tmp_path / "clip.mp4", 12)
    add_team(system, "u18")
    bucket = WatchedPrefix(system)
    bucket.watch(settle_s=1, every_s=0.2)
    with processes(system.settings, tmp_path / "logs") as running:
        running.worker("--slots", "1")
        running.beat()
        wait_until(lambda: bucket.status().watch.listed_at, 30, "the first listing")
        bucket.put("u18/2026/final.mp4", b"half of it")
        bucket.put("u18/2026/final.mp4", clip)
        [(run_id,)] = wait_until(lambda: sql(system, "SELECT id FROM run"), 30, "the run")
        wait_done(system, run_id)  # type: ignore[arg-type]
        bucket.rename("u18/2026/final.mp4", "u18/2026/final (edited).mp4")
        wait_until(
            lambda: sql(system, "SELECT 1 FROM video WHERE object_key LIKE '%edited)%' AND state = 'ready'"),
            30,
            "the video to follow",
        )
    run = run_of(system, run_id)  # type: ignore[arg-type]
    assert (run.team, run.video, run.tags, run.lane) == ("u18", "final.mp4", {"season": "2026"}, "fresh")
    assert verify_run(system, run.id).good
    assert sql(system, "SELECT count(*) FROM run WHERE state = 'done'") == [(1,)]
