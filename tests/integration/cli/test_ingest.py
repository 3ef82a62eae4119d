"""`poseline ingest` of many videos: what is taken in, what is said of each, and what is left when it is broken off."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from pipeline.cli.main import main
from pipeline.services import take_in
from pipeline.services.ingest import ingest_video
from pipeline.services.system import System
from pipeline.services.teams import add_team
from pipeline.settings import Settings
from pipeline.storage.objects import ObjectStore
from pipeline.storage.s3_client import PART_BYTES
from tests.support.commands import printed, said
from tests.support.harness import processes, sql, wait_until
from tests.support.video_maker import make_video

pytestmark = pytest.mark.usefixtures("configured")

VIDEOS = "SELECT team.name, video.name, video.tags FROM video JOIN team ON team.id = team_id ORDER BY 1, 2"


WAITS = "waiting to upload, and going on by itself when there is room"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video of ten frames."""
    return make_video(tmp_path_factory.mktemp("base") / "v.mp4", 10).read_bytes()


@pytest.fixture
def footage(base: bytes, tmp_path: Path) -> Callable[..., list[Path]]:
    """Makes videos of these names, each of another content."""

    def make(*names: str, padding: int = 0) -> list[Path]:
        paths = [tmp_path / name for name in names]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            extra = uuid4().bytes + bytes(padding)
            path.write_bytes(base + struct.pack(">I", 8 + len(extra)) + b"free" + extra)
        return paths

    return make


def names(facts: list[dict[str, Any]]) -> list[str]:
    return [one["video"] for one in facts]


def nothing_half_made(system: System) -> bool:
    """Whether every object of a video is that of a stored one, and no upload is under way or left in parts."""
    keys = {key for (key,) in sql(system, "SELECT object_key FROM video WHERE owned AND state IN ('stored', 'ready')")}
    teams = [team for (team,) in sql(system, "SELECT id FROM team")]
    assert {key for team in teams for key in system.store.list_keys(f"teams/{team}/")} == keys
    parts = system.store._client.list_multipart_uploads(Bucket=system.store.bucket).get("Uploads", [])
    assert [part["Key"] for part in parts if any(str(team) in part["Key"] for team in teams)] == []
    return sql(system, "SELECT 1 FROM video WHERE state = 'uploading'") == []


def test_patterns_lists_and_prefixes_name_videos(
    system: System,
    footage: Callable[..., list[Path]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, _, _, d, e = footage("in/a.mp4", "in/deep/b.mp4", "in/deep/er/c.MOV", "d.mp4", "e f.mp4")
    (a.parent / "notes.txt").write_text("no video")
    prefix = f"s3://{system.store.bucket}/season-{uuid4()}/"
    for path in (a, d):
        system.store.put_file(path, f"{prefix.split('/', 3)[3]}night/{path.name}")
    system.store.put_file(a, f"{prefix.split('/', 3)[3]}notes.txt")
    assert names(printed(capsys, "ingest", "in/**/*.mp4")) == ["a.mp4", "b.mp4"]
    assert names(printed(capsys, "ingest", "in/*/**")) == ["b.mp4", "c.MOV"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{d}\n\n{e}\r\n{prefix}\n".encode())))
    facts = printed(capsys, "ingest", "-", "--team", "default")
    assert [(one["video"], one["state"]) for one in facts] == [
        *(("d.mp4", "uploaded"), ("e f.mp4", "uploaded"), ("a.mp4", "registered"), ("d.mp4", "registered")),
    ]
    assert facts[2]["path"] == f"{prefix}night/a.mp4"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{d}\0{e}\0".encode())))
    assert [one["state"] for one in printed(capsys, "ingest", "-")] == ["known", "known"]


def test_what_a_manifest_names_below_a_prefix_is_registered_as_its_row_says(
    system: System, footage: Callable[..., list[Path]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    [path] = footage("a.mp4")
    prefix = f"season-{uuid4()}/"
    for name in ("1.mp4", "2.mp4"):
        system.store.put_file(path, prefix + name)
    url = f"s3://{system.store.bucket}/{prefix}"
    add_team(system, "u18")
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"path,team,name,tags\n{url}2.mp4,u18,Final,half=2\n")
    printed(capsys, "ingest", url, "--manifest", str(manifest))
    assert sql(system, VIDEOS) == [("default", "1.mp4", {}), ("u18", "Final", {"half": "2"})]


def test_poseline_s_own_objects_below_a_prefix_are_left_out(
    system: System, footage: Callable[..., list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    [path] = footage("a.mp4")
    printed(capsys, "ingest", str(path))
    [(team_id,)] = sql(system, "SELECT id FROM team")
    system.store.put_file(path, f"teams/{team_id}/videos/x.mp4")
    url = f"s3://{system.store.bucket}/teams/{team_id}/"
    assert "there is no video below" in said(capsys, "ingest", url, code=2)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_manifest_gives_teams_names_and_tags(
    system: System, footage: Callable[..., list[Path]], capsys: pytest.CaptureFixture[str], tmp_path: Path, ending: str
) -> None:
    footage("night/x/1.mp4", "night/2.mp4")
    add_team(system, "u18")
    manifest = tmp_path / "night" / f"matches.{ending}"
    if ending == "csv":  # as a spreadsheet of a country with decimal commas writes it
        manifest.write_text(
            '\ufeffpath;team;name;tags\r\nx/1.mp4;u18;Final;"season=2026; camera=3"\r\n2.mp4;;;\r\n', "utf-8"
        )
    else:
        rows = [
            {"path": "x/1.mp4", "team": "u18", "name": "Final", "tags": {"season": "2026", "camera": "3"}},
            {"path": "2.mp4"},
        ]
        manifest.write_text("\n".join(json.dumps(row) for row in rows))
    facts = printed(capsys, "ingest", "--manifest", str(manifest), "--tag", "camera=0", "--tag", "night=1")
    assert [(one["team"], one["video"]) for one in facts] == [("u18", "Final"), ("default", "2.mp4")]
    assert sql(system, VIDEOS) == [
        ("default", "2.mp4", {"camera": "0", "night": "1"}),
        ("u18", "Final", {"season": "2026", "camera": "3", "night": "1"}),
    ]
    assert [one["state"] for one in printed(capsys, "ingest", str(manifest))] == ["known", "known"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.csv", "path,size\na.mp4,3\n", "line 1: there is no column 'size'; there are path, team, name, tags"),
        ("m.csv", "a.mp4\n", "line 1: there is no column 'a.mp4'"),
        ("m.csv", "path,tags\na.mp4,season\n", "line 2: 'season' is no tag: write key=value"),
        ("m.csv", "path,team\na.mp4,\nb.mp4,\n", "line 3: there is no file"),
        ("m.csv", "path,team\na.mp4,nobody\n", "line 2: there is no team 'nobody'; `poseline teams add`"),
        ("m.csv", "path,name\n\na.mp4,x\na.mp4,y\n", "is in line 3 already"),
        ("m.csv", "path,tags\na.mp4,half=1\n./a.mp4,half=2\n", "line 3: a.mp4 is in line 2 already"),
        ("m.csv", "path\ns3://bucket\n", "line 2: s3://bucket is not of the form s3://bucket/key"),
        ("m.csv", 'path\n"a.mp4\n', "is no CSV"),
        ("m.csv", "path\na.mp4,1,2\n", "line 2: 3 cells below 1 headings"),
        ("m.csv", "path\n", "names no video"),
        ("m.jsonl", '{"path": "a.mp4"}\n{path}\n', "line 2: is no JSON"),
        ("m.jsonl", '{"path": "a.mp4", "tags": {"season": 2026}}', "line 1: the value of the tag season is no text"),
        ("m.jsonl", '["a.mp4"]', "line 1: is no object"),
        ("m.txt", "a.mp4", "must end in .csv or .jsonl"),
    ],
)
def test_a_wrong_manifest_names_its_lines_and_nothing_is_uploaded(
    system: System,
    footage: Callable[..., list[Path]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
    text: str,
    words: str,
) -> None:
    footage("a.mp4", "c.mp4")
    (tmp_path / name).write_text(text)
    line = said(capsys, "ingest", "c.mp4", "--manifest", name, code=2)
    assert words in line
    assert len(line.splitlines()) == 1
    assert sql(system, "SELECT 1 FROM video") == []


def test_a_report_says_what_became_of_each(
    system: System, footage: Callable[..., list[Path]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good, known = footage("in/good.mp4", "in/known.mp4")
    (tmp_path / "in" / "bad.mp4").write_bytes(b"x" * 999)
    printed(capsys, "ingest", str(known))
    shown = said(capsys, "ingest", "in", "--report", "report.csv", "--jobs", "3", code=1)
    assert "3 videos: 1 refused, 1 uploaded, 1 known" in shown
    assert "poseline: bad.mp4: " in shown
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = {row["video"]: row for row in csv.DictReader(file)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "bad.mp4": "refused",
        "good.mp4": "uploaded",
        "known.mp4": "known",
    }
    assert "not a video" in rows["bad.mp4"]["reason"]
    [(video_id, run_id)] = sql(
        system, "SELECT video.id, run.id FROM video JOIN run ON video_id = video.id WHERE video.name = 'good.mp4'"
    )
    assert (rows["good.mp4"]["video_id"], rows["good.mp4"]["run_id"]) == (str(video_id), str(run_id))
    said(capsys, "ingest", str(good), "--report", "report.jsonl")
    [row] = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert (row["path"], row["team"], row["state"], row["reason"]) == (str(good), "default", "known", None)
    for path, words in (("report.txt", "end it in .jsonl or .csv"), ("no/report.csv", "cannot be written")):
        assert words in said(capsys, "ingest", str(good), "--report", path, code=2)


def test_with_json_progress_is_objects_on_stderr_and_the_result_one_document(
    system: System,
    footage: Callable[..., list[Path]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    footage(*(f"in/{number}.mp4" for number in range(6)))
    monkeypatch.setattr("pipeline.cli.progress._LINE_EVERY_S", 0.0)
    monkeypatch.setattr("pipeline.services.pressure._POLL_S", 0.05)
    sql(system, "INSERT INTO pressure (part, reason) VALUES ('disk', 'only 3 KiB free')")
    with ThreadPoolExecutor(1) as pool:
        ingesting = pool.submit(main, ["ingest", "in", "--jobs", "2", "--json"])
        told: list[dict[str, Any]] = []
        wait_until(lambda: told.extend(lines_of(capsys.readouterr().err)) or told, 30, "a line that says why it waits")
        assert told[0] == {"progress": f"{WAITS}: only 3 KiB free"}
        sql(system, "DELETE FROM pressure")
        assert ingesting.result(60) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == 6
    shown = [(each["progress"], each["done"]) for each in lines_of(captured.err)]
    assert shown, "it was silent"
    assert all(words.startswith("uploading 6 videos, ") for words, _ in shown)
    assert len(set(shown)) == len(shown), "a line says nothing new"
    assert [done for _, done in shown] == sorted(done for _, done in shown)


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_is_known_is_not_read_again_and_what_the_server_lost_is_uploaded_again(
    system: System,
    footage: Callable[..., list[Path]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = footage("a.mp4", "b.mp4")
    for path in paths:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    monkeypatch.setattr("pipeline.services.known_files._SETTLED_NS", -(10**18))  # they were made just now
    printed(capsys, "ingest", *map(str, paths))
    hashed: list[str] = []
    monkeypatch.setattr(take_in.Intake, "_hash", lambda *_: hashed.append("") or "0" * 64)
    assert [one["state"] for one in printed(capsys, "ingest", *map(str, paths))] == ["known", "known"]
    assert hashed == []
    [(key,)] = sql(system, "SELECT object_key FROM video WHERE name = 'a.mp4'")
    system.store.delete(str(key))
    sql(system, "DELETE FROM run WHERE video_id = (SELECT id FROM video WHERE name = 'b.mp4')")
    sql(system, "DELETE FROM video WHERE name = 'b.mp4'")
    facts = printed(capsys, "ingest", *map(str, paths))
    assert [one["state"] for one in facts] == ["known", "uploaded"]
    assert system.store.head(str(key)).size_bytes == paths[0].stat().st_size
    assert hashed == []
    data = paths[1].read_bytes()
    paths[1].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # of the same size, and with the same time
    os.utime(paths[1], (1_700_000_000, 1_700_000_000))
    printed(capsys, "ingest", *map(str, paths))
    assert hashed == [""]


def test_the_same_content_in_several_files_at_once_is_uploaded_once(
    system: System,
    footage: Callable[..., list[Path]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [first] = footage("in/0.mp4")
    for number in range(1, 8):
        (tmp_path / "in" / f"{number}.mp4").write_bytes(first.read_bytes())
    puts: list[str] = []
    put = ObjectStore.put_stream
    monkeypatch.setattr(
        ObjectStore, "put_stream", lambda self, file, size, key, *a: puts.append(key) or put(self, file, size, key, *a)
    )
    facts = printed(capsys, "ingest", "in", "--jobs", "8")
    assert sorted(one["state"] for one in facts) == ["known"] * 7 + ["uploaded"]
    assert len({one["run_id"] for one in facts}) == len(puts) == 1
    assert sql(system, "SELECT cardinality(other_names) FROM video") == [(7,)]


def test_a_large_file_is_hashed_while_it_is_uploaded(
    system: System,
    footage: Callable[..., list[Path]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [path] = footage("large.mp4", padding=2 * PART_BYTES)
    (tmp_path / "copy.mp4").write_bytes(path.read_bytes())
    hashed: list[str] = []
    hash_first = take_in.Intake._hash
    monkeypatch.setattr(take_in.Intake, "_hash", lambda self, file: hashed.append("") or hash_first(self, file))
    [fact] = printed(capsys, "ingest", str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert sql(system, "SELECT state, sha256, size_bytes FROM video") == [("stored", sha256, path.stat().st_size)]
    assert hashed == []
    ingest_video(system, UUID(fact["video_id"]), "w")
    assert sql(system, "SELECT state FROM video") == [("ready",)]
    [again] = printed(capsys, "ingest", "copy.mp4")  # the team has a video of that size
    assert (again["state"], again["video_id"], hashed) == ("known", fact["video_id"], [""])


def test_of_a_large_file_that_is_refused_nothing_is_kept(
    system: System, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "large.mp4").write_bytes(b"x" * (5 * PART_BYTES))
    assert "large.mp4" in said(capsys, "ingest", "large.mp4", code=1)
    assert nothing_half_made(system)
    assert sql(system, "SELECT state, etag FROM video") == [("rejected", None)]


@pytest.mark.parametrize("padding", [0, 2 * PART_BYTES], ids=["small", "large"])
def test_a_file_that_is_still_being_written_is_not_taken_in(
    system: System,
    footage: Callable[..., list[Path]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    padding: int,
) -> None:
    [path] = footage("growing.mp4", padding=padding)
    put = ObjectStore.put_stream

    def written_to(self: ObjectStore, *args: Any) -> Any:
        with path.open("ab") as file:
            file.write(struct.pack(">I", 8) + b"free")
        return put(self, *args)

    monkeypatch.setattr(ObjectStore, "put_stream", written_to)
    assert "changed while it was read; repeat the command" in said(capsys, "ingest", str(path), code=2)
    assert nothing_half_made(system)
    assert sql(system, "SELECT 1 FROM video") == []


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_broken_off_it_leaves_nothing_half_made_and_the_same_command_goes_on(
    number: signal.Signals,
    settings: Settings,
    system: System,
    footage: Callable[..., list[Path]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    footage(*(f"in/{each:03}.mp4" for each in range(60)))
    footage("in/large.mp4", padding=8 * PART_BYTES)
    report = tmp_path / "report.jsonl"
    with processes(settings, tmp_path / "logs") as running:
        options = ("--report", str(report), "--jobs", "4", "--json")
        ingesting = running.start("ingest", str(tmp_path / "in"), *options)
        wait_until(lambda: report.exists() and report.read_bytes().count(b"\n") >= 5, 60, "five videos")
        ingesting.send_signal(number)
        assert ingesting.wait(30) == 130
        said_then = running.output()
    said_last = lines_of(said_then.partition("\n")[2])[-2:]  # below the name of the log
    assert said_last[0]["progress"].endswith("repeat the command to go on with the others")
    assert said_last[1]["message"] == "stopped"
    assert nothing_half_made(system)
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    [(taken,)] = sql(system, "SELECT count(*) FROM run")
    assert 5 <= len(rows) == taken < 61
    facts = printed(capsys, "ingest", str(tmp_path / "in"))
    states = [one["state"] for one in facts]
    assert (states.count("known"), states.count("uploaded")) == (taken, 61 - int(str(taken)))
