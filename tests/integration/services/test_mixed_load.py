"""Reprocessing beside fresh videos: it keeps its share of the slots, and has all of them when nothing else waits."""

from __future__ import annotations

import sys
import time

from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.dispatch import dispatch
from pipeline.services.passes import advance_passes
from pipeline.services.schedules import ScheduleOptions, add_schedule, run_now
from pipeline.services.system import System
from tests.conftest import opened
from tests.support.harness import sql, wait_until
from tests.support.season import fill, fill_videos
from tests.support.simulated_slots import simulated_slots

SLOTS, CHUNK_S, PER_CHUNK, SECONDS = 4, 0.1, 12, 4.0


def speeds(system: System) -> dict[str, float]:
    """Frames a second of each lane in the next seconds."""
    [(begun,)] = sql(system, "SELECT clock_timestamp()")
    at = time.monotonic()
    wait_until(lambda: time.monotonic() - at > SECONDS, SECONDS + 5)
    return {
        str(lane): float(str(frames)) / SECONDS
        for lane, frames in sql(
            system,
            "SELECT lane, sum(chunk.frames) FROM chunk JOIN run ON run.id = run_id WHERE chunk.state = 'done' "
            "AND chunk.finished_at BETWEEN :begun AND CAST(:begun AS timestamptz) + interval '4 seconds' GROUP BY 1",
            begun=begun,
        )
    }


def test_reprocessing_yields_to_fresh_videos_and_keeps_its_share(system: System) -> None:
    with opened(system.settings) as own:
        fill(own, runs=10, chunks=100, per_chunk=PER_CHUNK, teams=2)
        sql(own, "UPDATE team SET name = 'fresh ' || name")
        fill_videos(own, videos=40, frames=240, per_keyframe=PER_CHUNK)
        add_schedule(own, "nightly", ScheduleOptions(cron="0 22 * * *", model=BUNDLED_MODEL))
        run_now(own, "nightly", team=None)
        with simulated_slots(system, SLOTS, lambda _: CHUNK_S / PER_CHUNK):
            dispatch(own)
            wait_until(lambda: sql(own, "SELECT count(*) >= 8 FROM chunk WHERE state = 'done'") == [(True,)])
            together = speeds(own)
            sql(own, "UPDATE lane SET paused_at = now() WHERE name = 'fresh'")
            wait_until(
                lambda: (
                    not sql(
                        own,
                        "SELECT 1 FROM chunk JOIN run ON run.id = run_id "
                        "WHERE lane = 'fresh' AND chunk.state IN ('queued', 'running')",
                    )
                )
            )
            alone = speeds(own)
        advance_passes(own)
    sys.stdout.write(f"frames a second: {together} together, {alone} when fresh videos wait no more\n")
    share = together["reprocess"] / sum(together.values())
    assert 0.05 <= share <= 0.25
    assert alone.keys() == {"reprocess"}
    assert alone["reprocess"] > 3 * together["reprocess"]
