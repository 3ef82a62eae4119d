"""Limits that are one team's own, and how long what was rejected is kept, against real servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.db.engine import transaction
from pipeline.db.teams import select_teams
from pipeline.db.uploads import insert_video
from pipeline.errors import UnknownTeam, UsageError, VideoRejected
from pipeline.services.ingest import ingest_video
from pipeline.services.reconcile import tick
from pipeline.services.system import System
from pipeline.services.teams import add_team, limits_of, require_team, set_team
from pipeline.services.upload import register_object, upload_file
from pipeline.settings import Settings
from tests.conftest import opened
from tests.support.harness import environment, sql


def test_a_teams_own_limits_go_over_the_settings(system: System) -> None:
    assert limits_of(system, "nobody yet") == system.limits
    add_team(
        system,
        "kids",
        weight=0.5,
        limits={
            "max_bytes": 10,
            "max_pixels": 20,
            "max_frames": 30,
            "max_duration_s": 40,
            "max_streams": 50,
            "max_cpu_s_per_frame": 0.6,
        },
    )
    own = limits_of(system, "kids")
    assert (own.max_bytes, own.max_pixels, own.max_frames, own.max_duration_s) == (10, 20, 30, 40)
    assert (own.max_streams, own.max_cpu_s_per_frame) == (50, 0.6)
    assert own.stall_s == system.limits.stall_s
    assert limits_of(system, "others") == system.limits
    set_team(system, "kids", reset=["max_duration_s", "max_streams"])
    assert limits_of(system, "kids").max_duration_s == system.limits.max_duration_s
    assert limits_of(system, "kids").max_frames == 30
    with transaction(system.engine) as connection:
        assert [(row.name, row.weight) for row in select_teams(connection)] == [("kids", 0.5)]


def test_limits_that_make_no_sense_are_refused(system: System) -> None:
    wrong: list[dict[str, object]] = [
        {"max_frames": 0},
        {"max_bytes": -1},
        {"max_duration_s": float("nan")},
        {"max_duration_s": float("inf")},
        {"max_pixels": 2**40},
        {"max_streams": "3"},
        {"max_streams": True},
        {"stall_s": 1},
        {"max_video_bytes": 1},
    ]
    add_team(system, "kids")
    for limits in wrong:
        with pytest.raises(UsageError, match="poseline teams set") as caught:
            set_team(system, "kids", limits=limits)
        assert len(caught.value.message) < 200
        with pytest.raises(UsageError, match="team more: "):
            add_team(system, "more", limits=limits)
    for change in (add_team, set_team):
        with pytest.raises(UsageError, match="more than 0"):
            change(system, "kids", weight=float("nan"))
    assert sql(system, "SELECT name, weight, limits FROM team") == [("kids", 1.0, {})]


def test_a_team_that_does_not_exist_is_not_made_by_chance(system: System) -> None:
    add_team(system, "tigers")
    with pytest.raises(UsageError, match="already; `poseline teams set`"):
        add_team(system, "tigers")
    with pytest.raises(
        UnknownTeam,
        match=r"no team 'tiger' \(did you mean 'tigers'\?\); `poseline teams` lists them, `poseline teams add tiger`",
    ):
        set_team(system, "tiger", weight=2)
    with pytest.raises(
        UnknownTeam,
        match="no team 'the b team'; `poseline teams` lists them, `poseline teams add 'the b team'` makes it",
    ):
        require_team(system, "the b team")
    require_team(system, "tigers")
    require_team(system, "default")
    assert sql(system, "SELECT name FROM team") == [("tigers",)]
    assert set_team(system, "default", weight=2).weight == 2


def test_limits_that_somebody_wrote_by_hand_are_held_to_the_same(system: System) -> None:
    sql(system, """INSERT INTO team (name, limits) VALUES ('kids', '{"max_frames": "all"}')""")
    with pytest.raises(UsageError, match="max_frames must be a number, not 'all'"):
        limits_of(system, "kids")


def test_one_team_is_refused_where_another_is_not(system: System, short_clip: Path) -> None:
    """At the door, and by a worker where the object came in another way."""
    system.store.put_file(short_clip, "matches/a.mp4")
    url = f"s3://{system.store.bucket}/matches/a.mp4"
    for limit, value, words in (
        ("max_bytes", 1000, "limit"),
        ("max_pixels", 1000, "export it smaller"),
        ("max_frames", 100, "more than 100 frames"),
        ("max_duration_s", 2, "at most 0:02 is allowed"),
        ("max_cpu_s_per_frame", 0.0001, "CPU time"),
    ):
        add_team(system, limit, limits={limit: value})
        with pytest.raises(VideoRejected, match=words):
            upload_file(system, short_clip, limit)
        video_id = register_object(system, url, limit).video.id
        with pytest.raises(VideoRejected, match=words):
            ingest_video(system, video_id, "w")
        ((state, reason, errors),) = sql(system, "SELECT state, reason, errors FROM video WHERE id = :id", id=video_id)
        assert (state, errors) == ("rejected", 0)
        assert words in reason
    ingest_video(system, register_object(system, url, "pros").video.id, "w")
    assert sql(system, "SELECT count(*) FROM video WHERE state = 'ready'") == [(1,)]


def test_a_rejected_upload_is_kept_for_as_long_as_is_set(system: System, short_clip: Path) -> None:
    """The object of the team's own upload goes after that; one that lies elsewhere is its owner's for ever."""
    upload_file(system, short_clip, "team")
    system.store.put_file(short_clip, "matches/theirs.mp4")
    url = f"s3://{system.store.bucket}/matches/theirs.mp4"
    register_object(system, url, "other team")
    sql(system, "UPDATE video SET sha256 = repeat('0', 64)")
    for (video_id,) in sql(system, "SELECT id FROM video"):
        with pytest.raises(VideoRejected, match="damaged"):
            ingest_video(system, video_id, "w")
    assert sql(system, "SELECT DISTINCT state FROM video") == [("rejected",)]
    keys = {key for (key,) in sql(system, "SELECT object_key FROM video")}

    def left() -> set[str]:
        tick(system)
        return {key for key in keys if list(system.store.list_keys(key))}

    assert left() == keys
    sql(system, "UPDATE video SET not_before = now() - interval '6 days'")
    assert left() == keys
    sql(system, "UPDATE video SET not_before = now() - interval '8 days'")
    assert left() == {"matches/theirs.mp4"}
    assert left() == {"matches/theirs.mp4"}


def test_a_doubled_uploads_object_is_removed_at_once(system: System, short_clip: Path) -> None:
    first = upload_file(system, short_clip, "team").video
    ingest_video(system, first.id, "w")
    with transaction(system.engine) as connection:
        double, key = insert_video(connection, "team", "again.mp4", bucket=system.store.bucket)
    stored = system.store.put_file(short_clip, key)
    sql(
        system,
        "UPDATE video SET state = 'stored', etag = :etag, size_bytes = :size WHERE id = :id",
        etag=stored.etag,
        size=stored.size_bytes,
        id=double,
    )
    ingest_video(system, double, "w")
    assert sql(system, "SELECT state FROM video WHERE duplicate_of = :id", id=first.id) == [("rejected",)]
    tick(system)
    assert list(system.store.list_keys(key)) == []
    assert first.source is not None
    assert list(system.store.list_keys(first.source.key)) == [first.source.key]


def test_the_setting_can_be_to_keep_nothing(settings: Settings, short_clip: Path) -> None:
    with opened(settings.model_copy(update={"rejected_keep_s": 0.0})) as system:
        video = upload_file(system, short_clip, "team").video
        sql(system, "UPDATE video SET sha256 = repeat('0', 64)")
        with pytest.raises(VideoRejected, match="damaged"):
            ingest_video(system, video.id, "w")
        tick(system)
        assert video.source is not None
        assert list(system.store.list_keys(video.source.key)) == []


def test_teams_on_the_command_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, value in environment(settings).items():
        if name.startswith("POSELINE_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def said(*args: str, code: int = 0) -> str:
        assert main(["teams", *args]) == code
        captured = capsys.readouterr()
        return captured.out + captured.err

    assert "no teams yet" in said()
    assert "weight 2, default limits" in said("add", "pros", "--weight", "2")
    assert "there is no team 'kids'; `poseline teams` lists them, `poseline teams add kids` makes it" in said(
        "set", "kids", "--weight", "2", code=2
    )
    words = said("add", "kids", "--max-bytes", "10G", "--max-duration", "90m", "--max-pixels", "3840x2160")
    assert "bytes 10G, pixels 8294400, duration 90 m" in words
    said("set", "kids", "--max-frames", "9", "--max-streams", "2", "--max-cpu-per-frame", "1.5", "--default", "bytes")
    listed = json.loads(said("--json"))
    assert listed == [
        {
            "team": "kids",
            "weight": 1.0,
            "max_slots": None,
            "quota_bytes": None,
            "limits": {
                "max_pixels": 3840 * 2160,
                "max_frames": 9,
                "max_duration_s": 5400.0,
                "max_streams": 2,
                "max_cpu_s_per_frame": 1.5,
            },
        },
        {"team": "pros", "weight": 2.0, "max_slots": None, "quota_bytes": None, "limits": {}},
    ]
    assert "duration 90 m" in said()
    assert "nothing to change" in said("set", "kids", code=2)
    assert "is not a size" in said("set", "kids", "--max-bytes", "big", code=2)
    assert "more than 0" in said("set", "kids", "--weight", "0", code=2)
    assert "must be above 0" in said("set", "kids", "--max-frames", "0", code=2)
    assert "is no name for a team" in said("set", " ", "--weight", "1", code=2)


def test_a_teams_cap_is_set_and_taken_away(
    configured: Settings, system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["teams", "add", "pros", "--max-slots", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["max_slots"] == 3
    assert main(["teams", "set", "pros", "--weight", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["max_slots"] == 3
    assert main(["teams"]) == 0
    assert "at most 3" in capsys.readouterr().out
    assert main(["teams", "set", "pros", "--max-slots", "0"]) == 0
    assert sql(system, "SELECT max_slots FROM team WHERE name = 'pros'") == [(None,)]
    capsys.readouterr()
    assert main(["teams", "set", "pros", "--quota", "500G"]) == 0
    assert "quota 500G" in capsys.readouterr().out
    assert main(["teams", "set", "pros", "--weight", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["quota_bytes"] == 500 * 2**30
    assert main(["teams", "set", "pros", "--quota", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["quota_bytes"] is None
