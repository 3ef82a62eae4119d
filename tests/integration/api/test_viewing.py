"""The endpoints of the viewer over HTTP: ranges, what may be kept, and who may ask."""

from __future__ import annotations

import gzip
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pipeline.core.roles import Role
from pipeline.services.proxy import make_proxy
from pipeline.services.system import System
from tests.support.analysis import analyse
from tests.support.harness import run_of
from tests.support.packed_reader import read_frame_table, read_segment
from tests.support.web import Client, make_team, signed_in

ENDPOINTS = ("/media", "/runs", "/runs/{run}/times", "/runs/{run}/poses/0", "/runs/{run}/timeline")


def put(system: System, clip: Path, *, finish: bool = True) -> tuple[str, UUID]:
    """Analyse a clip. Returns the address of its video, and its run."""
    run_id = analyse(system, clip, finish=finish)
    return f"/teams/{make_team(system, 'team')}/videos/{run_of(system, run_id).video_id}", run_id


@pytest.fixture
def viewer(system: System, origin: str) -> Client:
    """Somebody who may see the team's videos."""
    return signed_in(system, origin, "viewer@example.org", team=Role.VIEWER)


def test_the_video_comes_whole_and_in_ranges(system: System, viewer: Client, short_clip: Path) -> None:
    video, _ = put(system, short_clip, finish=False)
    whole = short_clip.read_bytes()
    answer = viewer.ask("GET", f"{video}/media")
    assert (answer.status, answer.data) == (200, whole)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"].startswith("private")
    tag = answer.headers["etag"]
    size = len(whole)
    for asked, first, stop in [("0-0", 0, 1), ("100-199", 100, 200), ("-50", size - 50, size), ("1000-", 1000, size)]:
        part = viewer.ask("GET", f"{video}/media", headers={"Range": f"bytes={asked}", "If-Range": tag})
        assert (part.status, part.data) == (206, whole[first:stop])
        assert part.headers["content-range"] == f"bytes {first}-{stop - 1}/{size}"
    beyond = viewer.ask("GET", f"{video}/media", headers={"Range": f"bytes={size}-"})
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert viewer.ask("GET", f"{video}/media", headers={"If-None-Match": tag}).status == 304
    other = viewer.ask("GET", f"{video}/media", headers={"Range": "bytes=0-0", "If-Range": '"another"'})
    assert (other.status, other.data) == (200, whole)


def test_a_copy_for_browsers_is_made_when_somebody_asks(system: System, viewer: Client, short_clip: Path) -> None:
    video, run_id = put(system, short_clip, finish=False)
    for missing in ("/proxy", "/proxy/media"):
        assert viewer.ask("GET", f"{video}{missing}").status == 404
    asked = viewer.ask("POST", f"{video}/proxy")
    assert (asked.status, asked.json()) == (202, {"state": "wanted", "frames_done": 0, "reason": None})
    make_proxy(system, run_of(system, run_id).video_id, "w")
    assert viewer.get(f"{video}/proxy") == {"state": "ready", "frames_done": 120, "reason": None}
    whole = viewer.ask("GET", f"{video}/proxy/media")
    assert (whole.status, whole.headers["content-type"]) == (200, "video/mp4")
    part = viewer.ask("GET", f"{video}/proxy/media", headers={"Range": "bytes=4-7", "If-Range": whole.headers["etag"]})
    assert (part.status, part.data) == (206, b"ftyp")
    for key in system.store.list_keys("teams/"):
        if "/proxies/" in key:
            system.store.delete(key)
    assert viewer.ask("GET", f"{video}/proxy/media").status == 410
    assert viewer.ask("POST", f"{video}/proxy").json()["state"] == "wanted"


def test_a_video_that_was_replaced_behind_our_back_is_gone(system: System, viewer: Client, short_clip: Path) -> None:
    video, run_id = put(system, short_clip, finish=False)
    key = system.store.list_keys("")
    assert viewer.ask("GET", f"{video}/media").status == 200
    for each in key:
        if str(run_of(system, run_id).video_id) in each:
            system.store.put_file(Path(__file__), each)
    answer = viewer.ask("GET", f"{video}/media")
    assert (answer.status, answer.headers["content-type"]) == (410, "application/problem+json")


def test_what_never_changes_may_be_kept_and_the_rest_may_not(system: System, viewer: Client, short_clip: Path) -> None:
    video, run_id = put(system, short_clip)
    for path, read in (("times", read_frame_table), ("poses/0", read_segment)):
        packed = viewer.ask("GET", f"{video}/runs/{run_id}/{path}", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["cache-control"] == "private, max-age=31536000, immutable"
        plain = viewer.ask("GET", f"{video}/runs/{run_id}/{path}", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert read(plain.data)
        assert packed.data in {plain.data, gzip.compress(plain.data, 6)}
    assert viewer.get(f"{video}/runs/{run_id}/timeline")["final"] is True
    (run,) = viewer.get(f"{video}/runs")["runs"]
    assert (run["id"], run["state"], run["is_current"], run["frames_done"]) == (str(run_id), "done", True, 120)


def test_a_run_that_goes_on_is_not_kept(system: System, viewer: Client, short_clip: Path) -> None:
    run_id = analyse(system, short_clip, chunks=[1])
    video = f"/teams/{make_team(system, 'team')}/videos/{run_of(system, run_id).video_id}"
    assert viewer.ask("GET", f"{video}/runs/{run_id}/poses/0").headers["cache-control"] == "no-store"
    timeline = viewer.ask("GET", f"{video}/runs/{run_id}/timeline")
    assert timeline.headers["cache-control"] == "no-store"
    assert timeline.json()["to_come"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_another_team_is_not_told_that_there_is_such_a_video(
    system: System, viewer: Client, short_clip: Path, endpoint: str
) -> None:
    video, run_id = put(system, short_clip, finish=False)
    path = f"{video}{endpoint.format(run=run_id)}"
    assert viewer.ask("GET", path).status == 200
    stranger = signed_in(system, viewer.origin, "stranger@example.org", other=Role.OWNER)
    unknown = stranger.ask("GET", path.replace(video.split("/")[2], str(uuid4())))
    told = stranger.ask("GET", path)
    assert (told.status, told.data) == (404, unknown.data)
    own = stranger.ask("GET", path.replace(video.split("/")[2], str(make_team(system, "other"))))
    assert own.status == 404
    assert Client(viewer.origin).ask("GET", path).status == 401
