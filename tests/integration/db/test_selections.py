"""Conditions on videos against real rows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from pipeline.core.selection import Selection
from pipeline.db.engine import transaction
from pipeline.db.selections import is_selected, with_current_run
from pipeline.db.tables import video
from pipeline.services.system import System
from tests.support.harness import sql
from tests.support.season import fill_videos


@pytest.fixture
def videos(system: System) -> System:
    """Four videos: the first analysed by a better model, the second by a worse one, badly; two never."""
    fill_videos(system, videos=4, frames=100, teams=2)
    for model in ("rtmo-l", "rtmo-s@bf16"):
        sql(system, "INSERT INTO model (fingerprint, name, spec) VALUES (:name, :name, '{}')", name=model)
    for name, model, summary in (
        ("match-1.mp4", "rtmo-l", '{"frames": 100, "frames_missing": 0, "frames_with_people": 90, "confidence": 0.8}'),
        ("match-2.mp4", "rtmo-s@bf16", '{"frames": 100, "frames_missing": 3, "frames_with_people": 40}'),
    ):
        sql(
            system,
            "WITH made AS (INSERT INTO run (video_id, team_id, model_fingerprint, precision, state, summary) "
            "SELECT id, team_id, :model, 'fp32', 'done', CAST(:summary AS jsonb) FROM video WHERE name = :name "
            "RETURNING id, video_id) "
            "UPDATE video SET current_run_id = made.id FROM made WHERE made.video_id = video.id",
            name=name,
            model=model,
            summary=summary,
        )
    sql(system, "UPDATE video SET tags = '{\"season\": \"2025\"}' WHERE name IN ('match-1.mp4', 'match-3.mp4')")
    sql(
        system,
        "UPDATE video SET created_at = '2026-01-01', other_names = '{Final_100%.mp4}' WHERE name = 'match-4.mp4'",
    )
    sql(system, "UPDATE video SET created_at = '2026-03-01' WHERE name <> 'match-4.mp4'")
    return system


def chosen(system: System, *conditions: str, team: str | None = None) -> str:
    """The numbers of the videos that are selected."""
    now = datetime(2026, 3, 2, tzinfo=UTC)
    with transaction(system.engine) as connection:
        team_id = None if team is None else sql(system, "SELECT id FROM team WHERE name = :name", name=team)[0][0]
        where = is_selected(Selection.parse(conditions), team_id, now, {"rtmo-s", "rtmo-s@bf16"})  # type: ignore[arg-type]
        names = connection.execute(select(video.c.name).select_from(with_current_run()).where(where)).scalars()
        return "".join(sorted(name[6] for name in names))


@pytest.mark.parametrize(
    ("conditions", "numbers"),
    [
        ((), "1234"),
        (("tag.season=2025",), "13"),
        (("tag.season!=2025",), "24"),
        (("name=MATCH-*",), "1234"),
        (("name=final*",), "4"),
        (("name=final_100%*",), "4"),
        (("name=final?100*",), ""),
        (("name!=*-2.mp4",), "134"),
        (("model=rtmo-*",), "12"),
        (("model!=rtmo-l",), "234"),
        (("analysed=never",), "34"),
        (("analysed=yes",), "12"),
        (("accuracy=worse",), "234"),
        (("age>30d",), "4"),
        (("age<30d",), "123"),
        (("missing>2%",), "2"),
        (("missing<2%",), "1"),
        (("empty>50%",), "2"),
        (("confidence>0.5",), "1"),
        (("confidence<0.5",), ""),
        (("tag.season=2025", "analysed=never"), "3"),
        (("tag.season='; DROP TABLE video; --",), ""),
    ],
)
def test_conditions(videos: System, conditions: tuple[str, ...], numbers: str) -> None:
    assert chosen(videos, *conditions) == numbers


def test_only_a_teams_own_ready_videos(videos: System) -> None:
    assert chosen(videos, team="team 1") == "24"
    assert chosen(videos, "analysed=never", team="team 2") == "3"
    sql(videos, "ALTER TABLE video DISABLE TRIGGER USER")
    sql(videos, "UPDATE video SET state = 'rejected' WHERE name = 'match-3.mp4'")
    assert chosen(videos, "analysed=never") == "4"
