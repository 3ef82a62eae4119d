"""A team of ten thousand videos: each page and each search within 100 ms of the server's time."""

from __future__ import annotations

import time
from uuid import UUID

from pipeline.db.listed_videos import Wanted
from pipeline.services.system import System
from pipeline.services.video_list import list_videos
from tests.support.harness import sql
from tests.support.season import fill
from tests.support.web import make_team


def test_ten_thousand_videos_page_in_under_100_ms(system: System) -> None:
    fill(system, runs=10_000, chunks=20, teams=1)
    sql(system, "UPDATE video SET tags = '{\"season\": \"2026\"}' WHERE name LIKE '%7.mp4'")
    sql(system, "ANALYZE")
    team = make_team(system, "team 1")
    asked = (
        Wanted(),
        Wanted("999"),
        Wanted(tags={"season": "2026"}),
        Wanted(states=["done"]),
        Wanted("9", states=["queued"]),
    )
    took_ms = {str(wanted): min(_took_ms(system, team, wanted) for _ in range(5)) for wanted in asked}
    print(took_ms)  # noqa: T201  the figures of docs/api.md
    assert max(took_ms.values()) < 100, took_ms


def _took_ms(system: System, team: UUID, wanted: Wanted) -> float:
    begun = time.perf_counter()
    list_videos(system, team, wanted)
    return (time.perf_counter() - begun) * 1000
