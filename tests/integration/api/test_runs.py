"""A team's runs through the API: what the command line prints, asked for, cancelled, their files."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.core.roles import Role
from pipeline.services.export import export_run
from pipeline.services.pose_writers import FORMATS
from pipeline.services.system import System
from tests.support.analysis import analyse
from tests.support.commands import printed
from tests.support.harness import report_worker
from tests.support.keys import make_key
from tests.support.web import Client, make_team, signed_in


@pytest.mark.usefixtures("configured")
def test_runs_are_what_the_command_line_prints(
    system: System, origin: str, short_clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = analyse(system, short_clip, team="club")
    club = make_team(system, "club")
    viewer = signed_in(system, origin, "v@example.org", club=Role.VIEWER)
    assert viewer.get(f"/teams/{club}/runs")["items"] == printed(capsys, "runs", "--team", "club")
    assert viewer.get(f"/teams/{club}/runs/{run_id}") == printed(capsys, "show", "short", "--team", "club")
    assert viewer.get(f"/teams/{club}/runs/named?called=short") == {"run_ids": [str(run_id)]}
    assert viewer.get(f"/teams/{club}/runs/named") == {"run_ids": [str(run_id)]}
    poll = viewer.ask("POST", f"/teams/{club}/runs/poll", {"run_ids": [str(run_id), str(UUID(int=1))]}).json()
    assert poll["runs"] == printed(capsys, "runs", "--team", "club")
    verdict = viewer.ask("POST", f"/teams/{club}/runs/{run_id}/verify").json()
    assert verdict == printed(capsys, "verify", "short", "--team", "club")
    assert verdict["good"]
    assert {model["name"] for model in viewer.get("/models")["items"]} >= {"rtmo-t"}
    assert viewer.get(f"/teams/{club}/pauses") == {"items": []}


def test_a_run_is_asked_for_once(system: System, origin: str, short_clip: Path) -> None:
    report_worker(system, "w", starts=True)
    first = analyse(system, short_clip, team="club", chunks=[])
    club = make_team(system, "club")
    coach = Client(origin, key=make_key(system, "club"))
    video_id = coach.get(f"/teams/{club}/videos")["items"][0]["video_id"]
    runs, wanted = f"/teams/{club}/runs", {"video_id": video_id, "model": "rtmo-t"}
    key = {"Idempotency-Key": "monday"}
    assert coach.ask("POST", runs, wanted).json() == {"run_id": str(first), "existed": True}
    assert coach.ask("POST", runs, wanted, key).json()["run_id"] == str(first)
    assert coach.ask("POST", f"{runs}/{first}/cancel").json() == {
        "run_id": str(first), "state": "cancelled", "was_open": True}  # fmt: skip
    assert coach.ask("POST", f"{runs}/{first}/cancel").json()["was_open"] is False
    assert coach.ask("POST", runs, wanted, key).json() == {"run_id": str(first), "existed": True}
    other = coach.ask("POST", runs, {**wanted, "deadline": "2030-01-01T00:00:00Z"}, key)
    assert (other.status, "take a new one" in other.json()["detail"]) == (400, True)
    retried = coach.ask("POST", f"{runs}/{first}/retry").json()
    assert (retried["action"], retried["new_run_id"] != str(first)) == ("new_run", True)
    assert coach.ask("POST", runs, wanted).json() == {"run_id": retried["new_run_id"], "existed": True}
    assert coach.ask("POST", runs, {**wanted, "model": "no-such"}).status == 404
    assert coach.ask("POST", runs, {**wanted, "lane": "no-such"}).status == 404
    assert coach.ask("GET", f"{runs}/{first}/exports/jsonl").status == 409
    page = coach.get(f"{runs}?limit=1")
    assert [run["run_id"] for run in page["items"]] == [retried["new_run_id"]]
    rest = coach.get(f"{runs}?limit=1&after={page['next']}")
    assert ([run["run_id"] for run in rest["items"]], rest["next"]) == ([str(first)], None)
    theirs = make_team(system, "rivals")
    stranger = Client(origin, key=make_key(system, "rivals"))
    assert stranger.ask("POST", f"/teams/{theirs}/runs", wanted).status == 404
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry"), ("POST", "/verify"),
                         ("GET", "/exports/csv"), ("GET", "/previews/sheet.png")):  # fmt: skip
        assert stranger.ask(method, f"/teams/{theirs}/runs/{first}{path}").status == 404, path
    viewer = Client(origin, key=make_key(system, "club", Role.VIEWER))
    assert viewer.ask("POST", f"{runs}/{first}/cancel").status == 403


def test_result_files_are_those_that_export_writes(
    system: System, origin: str, short_clip: Path, tmp_path: Path
) -> None:
    run_id = analyse(system, short_clip, team="club")
    club = make_team(system, "club")
    viewer = Client(origin, key=make_key(system, "club", Role.VIEWER))
    files = f"/teams/{club}/runs/{run_id}/exports"
    written = {}
    for form in FORMATS:
        for path in export_run(system, run_id, tmp_path / f"short.{form}", form, team="club").files:
            written[path.name.removeprefix("short.")] = path.read_bytes()
    assert len(written) == 6
    for name, content in written.items():
        answer = viewer.ask("GET", f"{files}/{name}")
        assert (answer.status, answer.data) == (200, content), name
        assert f"short.{name}" in answer.headers["content-disposition"]
        again = viewer.ask("GET", f"{files}/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status, again.data) == (304, b"")
    part = viewer.ask("GET", f"{files}/jsonl", headers={"Range": "bytes=10-29"})
    assert (part.status, part.data) == (206, written["jsonl"][10:30])
    assert part.headers["content-range"] == f"bytes 10-29/{len(written['jsonl'])}"
    assert viewer.ask("GET", f"{files}/jsonl", headers={"Range": "bytes=99999999-"}).status == 416
    assert viewer.ask("GET", f"{files}/xlsx").status == 422
    sheet = viewer.ask("GET", f"/teams/{club}/runs/{run_id}/previews/sheet.png")
    assert (sheet.status, sheet.data[:4]) == (200, b"\x89PNG")
    assert json.loads(sheet.headers["poseline-notes"]) == []
