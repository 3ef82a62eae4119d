"""The whole system on one machine, as a new user runs it: demo, status, Flower, exports, and stopped again."""

from __future__ import annotations

import base64
import csv
import html
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import av
import click
import cv2
import psutil
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main as cli
from pipeline.core.object_keys import export_key
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.settings import Settings, load_settings
from pipeline.storage.objects import build_object_store
from tests.conftest import opened
from tests.support.harness import cut, sql, wait_done, wait_until
from tests.support.paths import DEMO_CLIP


def poseline(home: Path, *args: str, code: int = 0) -> Any:
    """Run one command with --json; returns what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", *args, "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=home.parent,
    )
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout) if result.stdout.strip() else None


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("a new user") / "home"
    yield home
    poseline(home, "down")
    assert [p for p in psutil.process_iter(["cmdline"]) if str(home) in " ".join(p.info["cmdline"] or [])] == []


@pytest.fixture(scope="module")
def demo(home: Path) -> dict[str, Any]:
    printed: dict[str, Any] = poseline(home, "demo", "--out", str(home.parent / "out"))
    return printed


def test_the_demo_ends_with_poses_a_video_and_a_sheet(demo: dict[str, Any]) -> None:
    assert demo["state"] == "done"
    assert demo["frames"] == 230
    assert demo["frames_with_people"] > 200
    assert len(Path(demo["files"][0]).read_text().splitlines()) == 230
    with av.open(demo["files"][1]) as drawn, av.open(str(DEMO_CLIP)) as plain:
        times = [[f.time for f in c.decode(video=0)] for c in (drawn, plain)]
    assert len(times[0]) == len(times[1]) == 230
    assert max(abs(a - b) for a, b in zip(*times, strict=True)) < 0.001
    sheet = cv2.imread(demo["files"][2])
    assert sheet is not None
    assert sheet.shape[1] > 1500


def _get(settings: Settings, path: str, *, password: bool, method: str = "GET") -> Any:
    return json.loads(_page(settings, path, password=password, method=method))


def _page(settings: Settings, path: str, *, password: bool = True, method: str = "GET") -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{settings.flower_port}{path}", method=method)
    if password:
        assert settings.flower_password is not None
        pair = f"{settings.flower_user}:{settings.flower_password.get_secret_value()}"
        request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(response.read(), "utf-8")


def test_status_flower_and_celery_see_the_same_workers(home: Path, demo: dict[str, Any]) -> None:
    status = poseline(home, "status")
    assert status["running"]
    seen = {worker["name"] for worker in status["workers"]}
    assert seen
    assert all(worker["answers"] for worker in status["workers"])

    settings = load_settings(home)
    assert set(_get(settings, "/api/workers?refresh=true", password=True)) == seen

    ping = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers.app", "inspect", "ping", "--json"],
        env={**os.environ, "POSELINE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {name for name in seen if name in ping.stdout} == seen


def test_status_and_flower_agree_on_a_worker_s_device(home: Path, demo: dict[str, Any]) -> None:
    [worker] = poseline(home, "status")["workers"]
    assert worker["provider"]
    assert worker["engine"].split()[1][0].isdigit()
    assert worker["reason"]
    assert worker["golden_ms"] > 0
    found = _get(load_settings(home), "/api/workers?refresh=true", password=True)
    pool = found[worker["name"]]["stats"]["pool"]
    said = {name: worker[name] for name in ("device", "provider", "engine", "driver", "reason") if worker[name]}
    assert {name: pool[name] for name in said} == {name: [words] for name, words in said.items()}
    assert pool["golden_ms"] == [round(worker["golden_ms"], 2)]
    page = _page(load_settings(home), f"/worker/{worker['name']}")
    assert all(html.escape(worker[name]) in page for name in ("device", "provider", "engine"))


def test_flower_has_a_password_and_is_read_only(home: Path, demo: dict[str, Any]) -> None:
    settings = load_settings(home)
    for path in ("/api/workers", "/", "/workers"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            _get(settings, path, password=False)
    worker = poseline(home, "status")["workers"][0]["name"]
    with pytest.raises(urllib.error.HTTPError, match=r"40[135]"):
        _get(settings, f"/api/worker/shutdown/{worker}", password=True, method="POST")
    assert poseline(home, "status")["workers"][0]["name"] == worker


def test_the_same_request_twice_is_the_same_run(home: Path, demo: dict[str, Any]) -> None:
    copy = home.parent / "the same under another name.mp4"
    copy.write_bytes(DEMO_CLIP.read_bytes())
    [again] = poseline(home, "analyze", str(copy), "--team", "demo", "--out", str(home.parent / "again"))
    assert (again["run_id"], again["existed"]) == (demo["run_id"], True)
    assert Path(again["files"][0]).read_bytes() == Path(demo["files"][0]).read_bytes()
    assert len(poseline(home, "runs")) == 1


def test_every_format_carries_the_same_values(home: Path, demo: dict[str, Any]) -> None:
    out = home.parent / "formats"
    for form in ("csv", "parquet"):
        poseline(home, "export", demo["run_id"], "--out", str(out / f"poses.{form}"))
    lines = [json.loads(line) for line in Path(demo["files"][0]).read_text().splitlines()]
    people = [(line, i, person) for line in lines for i, person in enumerate(line["people"])]
    with (out / "poses.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(out / "poses.parquet").to_pylist()
    assert len(rows) == len(table) == len(people)
    for row, entry, (line, i, person) in zip(rows, table, people, strict=True):
        assert (int(row["frame"]), int(row["pts"]), float(row["time_s"]), int(row["person"])) == (
            line["frame"],
            line["pts"],
            line["time_s"],
            i,
        )
        assert (entry["frame"], entry["pts"], entry["time_s"], entry["person"]) == (
            line["frame"],
            line["pts"],
            line["time_s"],
            i,
        )
        assert float(row["left_knee_y"]) == person["keypoints"][13][1]
        assert entry["left_knee_y"] == pytest.approx(person["keypoints"][13][1], rel=1e-6)
        assert float(row["x2"]) == person["box"][2]
    empty = [line["frame"] for line in lines if not line["people"]]
    with (out / "poses.empty_frames.csv").open() as file:
        assert [int(row["frame"]) for row in csv.DictReader(file)] == empty
    assert pq.read_table(out / "poses.empty_frames.parquet")["frame"].to_pylist() == empty


def test_doctor_finds_nothing_wrong(home: Path, demo: dict[str, Any]) -> None:
    found = poseline(home, "doctor")
    assert [line["part"] for line in found if not line["ok"]] == []
    shown = poseline(home, "show", demo["run_id"][:8])
    assert shown["chunks_by_state"] == {"done": 3}


#: Every command that prints results and ends, with arguments that work on the demo's stack.
PRINTING = {
    "analyze": (str(DEMO_CLIP), "--team", "demo", "--out", "out"),
    "ingest": (str(DEMO_CLIP), "--team", "demo"),
    "runs": ("--state", "done", "--since", "1d", "--name", "demo"),
    "show": ("demo",),
    "tag": ("demo", "season=2026"),
    "queue": (),
    "queue share": ("reprocess", "0.1"),
    "retry": ("demo",),
    "pause": ("--lane", "reprocess"),
    "resume": ("--lane", "reprocess"),
    "cancel": ("demo",),
    "export": ("demo", "--out", "again.csv"),
    "preview": ("demo", "--out", "again.png"),
    "verify": ("demo",),
    "compare": ("demo", "demo"),
    "promote": ("demo",),
    "history": ("demo",),
    "models": (),
    "models show": ("rtmo-m",),
    "models check": (),
    "demo": ("--out", "out"),
    "up": (),
    "status": (),
    "doctor": (),
    "db upgrade": (),
    "db url": ("--read-only",),
    "store init": (),
    "teams": (),
    "teams add": ("u18",),
    "teams set": ("u18", "--weight", "2"),
    "accounts add": ("coach@example.org", "--team", "demo", "--role", "coach"),
    "accounts": (),
    "accounts list": (),
    "accounts link": ("coach@example.org", "--sign-in"),
    "accounts key": ("laptop", "--team", "demo"),
    "accounts disable": ("coach@example.org",),
    "accounts remove": ("coach@example.org", "--yes"),
    "reprocess": ("--model", BUNDLED_MODEL, "--where", "age>400d"),
    "schedule add": ("nightly", "--cron", "0 22 * * *", "--model", BUNDLED_MODEL, "--where", "age>400d"),
    "schedule edit": ("nightly", "--window", "8h"),
    "schedule list": (),
    "schedule show": ("nightly",),
    "schedule dry-run": ("nightly",),
    "schedule run-now": ("nightly",),
    "schedule passes": (),
    "schedule disable": ("nightly",),
    "schedule enable": ("nightly",),
    "report": ("nightly",),
    "schedule remove": ("nightly",),
    "watch": (),
    "watch add": ("s3://poseline/incoming/", "--pattern", "{name}", "--team", "demo"),
    "watch list": (),
    "watch status": (),
    "watch hint": ("s3://poseline/incoming/final.mp4",),
    "watch remove": ("s3://poseline/incoming/",),
    "retention set": ("u18", "exports", "365d"),
    "retention show": (),
    "retention dry-run": (),
    "retention run": (),
    "erase": ("--team", "u18", "--yes"),
    "live": ("--camera", "camera.mp4", "--mode", "hybrid", "--speed", "10", "--out", "live.jsonl"),
    "backup": ("backup",),
}
#: Those that do not end, need images, minutes, a second run, an open pass, an empty home or a worker's name, or end the
#: stack of the other tests, which call it themselves.
OTHERS = {
    *("worker", "beat", "flower", "web", "eval", "bench", "models fetch", "down", "drain", "rollback"),
    *("login", "logout"),
    *("schedule stop", "restore"),
}


def test_every_command_prints_json(
    home: Path, demo: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home.parent)
    cut(DEMO_CLIP, Path("camera.mp4"), 60)
    commands = click.Context(cli.poseline)
    names = set()
    for name in cli.poseline.list_commands(commands):
        command = cli.poseline.get_command(commands, name)
        inner = sorted(command.commands) if isinstance(command, click.Group) else []
        has_own = not inner or (isinstance(command, click.Group) and command.invoke_without_command)
        names |= {f"{name} {each}" for each in inner} | ({name} if has_own else set())
    outside = {name for name in names if name.split()[0] in OTHERS or name in OTHERS}
    assert names - outside == set(PRINTING)
    for name, options in PRINTING.items():
        assert cli.main([*name.split(), *options, "--home", str(home), "--json"]) == 0, (name, capsys.readouterr())
        assert json.loads(capsys.readouterr().out) is not None, name


def test_the_results_are_in_the_object_store_too(home: Path, demo: dict[str, Any]) -> None:
    store = build_object_store(load_settings(home))
    pinned = store.head(export_key(demo["run_id"]))
    assert b"".join(store.iter_whole(pinned)) == Path(demo["files"][0]).read_bytes()


def test_an_object_in_the_store_is_analysed_in_place(home: Path, demo: dict[str, Any]) -> None:
    store = build_object_store(load_settings(home))
    store.put_file(cut(DEMO_CLIP, home.parent / "short.mp4", 40), "matches/short.mp4")
    [facts] = poseline(home, "analyze", f"s3://{store.bucket}/matches/short.mp4", "--out", str(home.parent / "s3"))
    assert (facts["state"], facts["frames"]) == ("done", 40)
    assert Path(facts["files"][0]).name == "short.jsonl"


def test_files_of_the_same_content_each_get_their_poses(home: Path, demo: dict[str, Any]) -> None:
    folder = home.parent / "training"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        cut(DEMO_CLIP, folder / name, 30)
    facts = poseline(home, "analyze", str(folder), "--out", str(home.parent / "each"))
    assert [Path(one["files"][0]).name for one in facts] == ["a.jsonl", "b.jsonl"]
    assert len({Path(one["files"][0]).read_bytes() for one in facts}) == 1
    assert len({one["run_id"] for one in facts}) == 1


def test_a_worker_that_up_replaces_finishes_what_it_has_in_hand(home: Path, demo: dict[str, Any]) -> None:
    poseline(home, "ingest", str(cut(DEMO_CLIP, home.parent / "replaced.mp4", 100)))
    with opened(load_settings(home)) as system:
        begun = "SELECT run_id, idx, worker FROM chunk WHERE state = 'running' AND frames_done > 0"
        in_hand = wait_until(lambda: sql(system, begun), 60, "a chunk that is begun")
        poseline(home, "up", "--slots", "3")
        for run_id, idx, worker in in_hand:
            where = "FROM chunk WHERE run_id = :run_id AND idx = :idx"
            assert sql(system, f"SELECT state, worker, attempts {where}", run_id=run_id, idx=idx) == [
                ("done", worker, 1)
            ]
        wait_done(system, in_hand[0][0])  # type: ignore[arg-type]
        assert {row[0] for row in sql(system, "SELECT slots FROM worker")} == {3}


def test_up_repairs_its_settings_file(home: Path, demo: dict[str, Any]) -> None:
    (home / "poseline.env").write_text("this is no setting\n")
    poseline(home, "runs", code=2)
    poseline(home, "up")
    assert poseline(home, "runs")
