"""A team's videos through the API: pages, searches, tags, erasing."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.roles import Role
from pipeline.core.tags import parse_tags
from pipeline.services.system import System
from pipeline.services.tags import tag_video
from tests.support.analysis import analyse
from tests.support.harness import cut, sql
from tests.support.keys import make_key
from tests.support.season import fill
from tests.support.web import Client, make_team, signed_in


def test_a_video_is_listed_with_its_run(system: System, origin: str, short_clip: Path) -> None:
    run_id = analyse(system, short_clip, team="club")
    club = make_team(system, "club")
    tag_video(system, "short", team="club", tags=parse_tags(["season=2026"]))
    coach = signed_in(system, origin, "coach@example.org", club=Role.COACH)
    page = coach.get(f"/teams/{club}/videos")
    (video,) = page["items"]
    assert page["next"] is None
    assert (video["name"], video["state"], video["frames"], video["models"]) == ("short.mp4", "done", 120, ["rtmo-t"])
    assert (video["run"]["run_id"], video["current_run_id"]) == (str(run_id), str(run_id))
    assert (video["run"]["frames_done"], video["run"]["frames_missing"]) == (120, 0)
    assert 3.9 < video["video_s"] < 4.0
    found = {
        query: [each["name"] for each in coach.get(f"/teams/{club}/videos?{query}")["items"]]
        for query in ("name=SHO", "name=long", "tag=season=2026", "tag=season=2025", "state=done", "state=failed",
                      "state=failed&state=done", "since=2020-01-01T00:00:00Z", "before=2020-01-01T00:00:00Z")
    }  # fmt: skip
    assert [query for query, names in found.items() if names] == [
        *("name=SHO", "tag=season=2026", "state=done", "state=failed&state=done", "since=2020-01-01T00:00:00Z")
    ]
    wrong = coach.ask("GET", f"/teams/{club}/videos?state=broken")
    assert (wrong.status, "the states are uploading" in wrong.json()["detail"]) == (400, True)
    assert coach.ask("GET", f"/teams/{club}/videos?after=nonsense").status == 400
    detail = coach.ask("GET", f"/teams/{club}/videos/{video['video_id']}")
    assert [run["run_id"] for run in detail.json()["runs"]] == [str(run_id)]
    picture = coach.ask("GET", f"/teams/{club}/videos/{video['video_id']}/thumbnail")
    assert (picture.status, picture.data[:3], picture.headers["etag"]) == (200, b"\xff\xd8\xff", f'"{run_id}"')
    again = coach.ask(
        "GET", f"/teams/{club}/videos/{video['video_id']}", headers={"If-None-Match": detail.headers["etag"]}
    )
    assert (again.status, again.data) == (304, b"")


def test_a_list_is_read_page_by_page_from_its_index(system: System, origin: str) -> None:
    fill(system, runs=600, chunks=2, teams=1)
    sql(system, "ANALYZE")
    team = make_team(system, "team 1")
    viewer = signed_in(system, origin, "v@example.org", **{"team 1": Role.VIEWER})
    names: set[str] = set()
    after: str | None = ""
    pages = 0
    while after is not None:
        page = viewer.get(f"/teams/{team}/videos?limit=100{after and f'&after={after}'}")
        names |= {video["name"] for video in page["items"]}
        after, pages = page["next"], pages + 1
    assert (len(names), pages) == (600, 6)
    ordered = "WHERE team_id = :team AND duplicate_of IS NULL ORDER BY created_at DESC, id DESC LIMIT 50"
    plan = str(sql(system, f"EXPLAIN SELECT id FROM video {ordered}", team=team))
    assert "Backward using video_listed" in plan


def test_tags_are_changed_and_removed(system: System, origin: str, short_clip: Path) -> None:
    analyse(system, short_clip, team="club")
    club = make_team(system, "club")
    coach = signed_in(system, origin, "coach@example.org", club=Role.COACH)
    (video,) = coach.get(f"/teams/{club}/videos")["items"]
    at = f"/teams/{club}/videos/{video['video_id']}"
    assert coach.ask("PATCH", at, {"tags": {"season": "2026", "camera": "3"}}).json()["tags"]["camera"] == "3"
    assert coach.ask("PATCH", at, {"tags": {"camera": None}}).json()["tags"] == {"season": "2026"}
    assert coach.ask("PATCH", at, {"tags": {"a tag": "x"}}).status == 400
    assert Client(origin, key=make_key(system, "club", Role.VIEWER)).ask("PATCH", at, {"tags": {}}).status == 403


def test_a_video_is_erased_by_who_names_it(system: System, origin: str, short_clip: Path, tmp_path: Path) -> None:
    analyse(system, short_clip, team="club")
    other = cut(short_clip, tmp_path / "other.mp4", 60)
    analyse(system, other, team="club", put=False)
    club = make_team(system, "club")
    coach = signed_in(system, origin, "coach@example.org", club=Role.COACH)
    theirs = signed_in(system, origin, "other@example.org", rivals=Role.OWNER)
    video_id = coach.get(f"/teams/{club}/videos?name=short")["items"][0]["video_id"]
    at = f"/teams/{club}/videos/{video_id}"
    assert theirs.ask("DELETE", at, {"confirm": "short.mp4"}).status == 404
    rivals = make_team(system, "rivals")
    assert theirs.ask("DELETE", f"/teams/{rivals}/videos/{video_id}", {"confirm": "short.mp4"}).status == 404
    refused = coach.ask("DELETE", at, {"confirm": "other.mp4"})
    assert (refused.status, "short.mp4" in refused.json()["detail"]) == (400, True)
    assert coach.ask("DELETE", at).status == 422
    done = coach.ask("DELETE", at, {"confirm": "short.mp4"})
    assert (done.status, done.json()["finished"]) == (200, True)
    assert [video["name"] for video in coach.get(f"/teams/{club}/videos")["items"]] == ["other.mp4"]
    assert sql(system, "SELECT by FROM erasure") == [("coach@example.org",)]
