"""Results as a person meets them: named, found again, exported, and never replaced by those of another run."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import main
from pipeline.db.engine import transaction
from pipeline.db.run_ends import mark_cancelled
from pipeline.db.videos import VideoRow, select_video
from pipeline.services.run_metadata import run_metadata
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.analysis import MODEL, analyse
from tests.support.commands import printed
from tests.support.harness import cut, run_of, sql
from tests.support.paths import DEMO_CLIP


def error_of(capsys: pytest.CaptureFixture[str], *args: str, code: int) -> dict[str, str]:
    """The last error that a command prints with --json; each line of stderr must be an object."""
    capsys.readouterr()  # what the services logged in this process
    assert main([*args, "--json"]) == code
    errors: list[dict[str, str]] = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return errors[-1]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two different videos of the same name, 20 and 40 frames, in folders `a` and `b`."""
    folder = tmp_path_factory.mktemp("footage")
    made = {}
    for name, frames in (("a", 20), ("b", 40)):
        (folder / name).mkdir()
        made[name] = cut(DEMO_CLIP, folder / name / "cam03.mp4", frames)
    return made


@pytest.fixture
def runs(configured: Settings, system: System, clips: dict[str, Path]) -> dict[str, UUID]:
    """A done run of each of `clips`, of team `team`."""
    return {name: analyse(system, clip) for name, clip in clips.items()}


def test_two_calls_into_one_folder_keep_the_results_of_both(
    runs: dict[str, UUID], clips: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {}
    for name in ("a", "b", "a"):
        [result] = printed(capsys, "analyze", str(clips[name]), "--team", "team", "--model", MODEL)
        assert result["run_id"] == str(runs[name])
        found[name] = Path(result["files"][0])
    assert [path.name for path in found.values()] == ["cam03.jsonl", f"cam03-{str(runs['b'])[:8]}.jsonl"]
    assert [len(path.read_text().splitlines()) for path in found.values()] == [20, 40]


def test_a_file_that_was_named_is_not_written_over_if_it_is_another_run_s(
    runs: dict[str, UUID], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = str(runs["a"]), str(runs["b"])
    before = printed(capsys, "export", a, "--out", "final.jsonl")["files"]
    assert before == ["final.jsonl", "final.metadata.json"]
    error = error_of(capsys, "export", b, "--out", "final.csv", code=2)
    assert f"belongs to run {a[:8]}" in error["message"]
    Path("mine.jsonl").write_text("mine")
    assert "is not of this run" in error_of(capsys, "export", a, "--out", "mine.jsonl", code=2)["message"]
    assert Path("mine.jsonl").read_text() == "mine"
    assert not Path("final.csv").exists()
    assert len(printed(capsys, "export", a, "--out", "final.csv")["files"]) == 3


def test_runs_are_found_by_the_name_of_their_video(
    runs: dict[str, UUID], system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (str(run_id) for run_id in runs.values())
    sql(system, "UPDATE video SET name = 'Match 3.mp4' WHERE frames = 40")
    for name in ("cam03", "cam03.mp4", "CAM03.MP4", a[:8], a):
        assert printed(capsys, "show", name)["run_id"] == a
    assert printed(capsys, "export", "match 3")["files"][0] == "poseline-out/Match 3.jsonl"
    assert printed(capsys, "show", b[:6])["video"] == "Match 3.mp4"
    sql(system, "UPDATE video SET name = 'cam03.mp4'")
    error = error_of(capsys, "show", "cam03", code=2)
    assert (a[:8] in error["message"], b[:8] in error["message"]) == (True, True)
    assert "name one by its id" in error["message"]
    assert "no video or run is called 'cam0'" in error_of(capsys, "show", "cam0", code=2)["message"]


def test_a_video_is_found_by_every_name_that_it_was_uploaded_under(
    runs: dict[str, UUID], clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("match 3.mp4", "match 3.mp4", "Final.mov"):
        (tmp_path / name).write_bytes(clips["a"].read_bytes())
        [result] = printed(capsys, "analyze", str(tmp_path / name), "--team", "team", "--model", MODEL)
        assert (result["run_id"], result["existed"]) == (str(runs["a"]), True)
    for name in ("match 3", "MATCH 3.mp4", "final", str(tmp_path / "Final.mov")):
        assert printed(capsys, "show", name)["run_id"] == str(runs["a"])
    assert [run["run_id"] for run in printed(capsys, "runs", "--name", "fin")] == [str(runs["a"])]


def test_a_refused_upload_does_not_stand_in_the_way_of_the_good_one(
    configured: Settings, system: System, clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    final = tmp_path / "cam03.mp4"
    final.write_bytes(clips["a"].read_bytes()[:2000])
    assert main(["analyze", str(final)]) == 1
    assert printed(capsys, "show", "cam03")["state"] == "failed"
    run_id = analyse(system, clips["a"], team="default")
    assert printed(capsys, "show", "cam03")["run_id"] == str(run_id)
    assert printed(capsys, "export", "cam03")["run_id"] == str(run_id)


def test_of_several_runs_of_a_video_the_one_that_is_meant_is_taken(
    configured: Settings, system: System, clips: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    done = analyse(system, clips["a"])
    sql(system, "INSERT INTO model (fingerprint, name, spec) SELECT 'g', 'newer', spec FROM model")
    sql(
        system,
        "INSERT INTO run (video_id, team_id, model_fingerprint, precision, state) "
        "SELECT video_id, team_id, 'g', precision, 'waiting' FROM run",
    )
    newer = printed(capsys, "show", "cam03")["run_id"]
    assert newer != str(done)
    assert printed(capsys, "export", "cam03")["run_id"] == str(done), "the current run has results"
    assert printed(capsys, "cancel", "cam03") == [{"run_id": newer, "state": "cancelled", "was_open": True}]


def test_runs_are_listed_newest_first_and_by_what_is_asked_for(
    runs: dict[str, UUID], system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (str(run_id) for run_id in runs.values())
    sql(system, "UPDATE video SET name = 'Match 3.mp4' WHERE frames = 40")
    sql(system, "UPDATE run SET created_at = now() - interval '3 days' WHERE id = :id", id=a)
    listed = {
        (): [b, a],
        ("--since", "2d"): [b],
        ("--name", "MATCH"): [b],
        ("--name", "%"): [],
        ("--state", "done"): [b, a],
        ("--state", "failed", "--state", "cancelled"): [],
        ("--team", "team", "--limit", "1"): [b],
    }
    for options, expected in listed.items():
        assert [run["run_id"] for run in printed(capsys, "runs", *options)] == expected, options
    [newest, _] = printed(capsys, "runs")
    assert (newest["frames"], newest["state"], newest["video"], newest["model"]) == (40, "done", "Match 3.mp4", MODEL)
    assert newest["video_s"] == pytest.approx(40 / 30, abs=0.05)
    assert main(["runs"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["run", "state", "requested", "video", "length", "people", "frames", "team", "model"]
    assert re.search(r"done +\d{4}-\d\d-\d\d \d\d:\d\d +Match 3.mp4 +0:01 +\d+ +40/40 +team", table[1])


def test_a_cancelled_run_gives_the_frames_it_has_and_says_what_is_missing(
    configured: Settings, system: System, clips: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = analyse(system, clips["b"], chunks=[0])
    open_run = error_of(capsys, "export", "cam03", code=1)
    assert "wait until it has ended" in open_run["message"]
    with transaction(system.engine) as connection:
        mark_cancelled(connection, run_id)
    [(analysed,)] = sql(system, "SELECT count(*) FROM frame")
    assert isinstance(analysed, int)
    assert 0 < analysed < 40
    export = printed(capsys, "export", "cam03")
    missing = f"{40 - analysed} of 40 frames have no poses (not analysed: the run was cancelled)"
    assert export["missing"] == missing
    lines = [json.loads(line) for line in Path(export["files"][0]).read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(40))
    assert [line["frame"] for line in lines if "missing" in line] == list(range(analysed, 40))
    assert len({line["pts"] for line in lines}) == 40
    metadata = json.loads(Path(export["files"][-1]).read_text())
    assert (metadata["state"], metadata["results"]["frames_missing"]) == ("cancelled", 40 - analysed)
    assert main(["export", "cam03", "--format", "csv"]) == 0
    assert missing in capsys.readouterr().out


def test_a_run_without_any_frame_has_nothing_to_export(
    configured: Settings, system: System, clips: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = analyse(system, clips["a"], chunks=[])
    with transaction(system.engine) as connection:
        mark_cancelled(connection, run_id)
    error = error_of(capsys, "export", "cam03", code=1)
    assert "is cancelled, and none of its frames were analysed" in error["message"]
    assert not Path("poseline-out").exists() or list(Path("poseline-out").iterdir()) == []


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_dash_is_standard_output(runs: dict[str, UUID], capfdbinary: pytest.CaptureFixture[bytes], form: str) -> None:
    assert main(["export", str(runs["a"]), "--out", f"x.{form}"]) == 0
    capfdbinary.readouterr()
    assert main(["export", str(runs["a"]), "--out", "-", "--format", form]) == 0
    assert capfdbinary.readouterr().out == Path(f"x.{form}").read_bytes()
    assert not Path("-").exists()


def test_parquet_says_what_it_holds(runs: dict[str, UUID], system: System, capsys: pytest.CaptureFixture[str]) -> None:
    files = printed(capsys, "export", str(runs["a"]), "--format", "parquet")["files"]
    run = run_of(system, runs["a"])
    for file in files[:2]:
        schema = pq.read_schema(io.BytesIO(Path(file).read_bytes()))
        about = {name.decode(): value.decode() for name, value in schema.metadata.items()}
        assert (about["run_id"], about["video"], about["model"]) == (str(run.id), "cam03.mp4", MODEL)
        assert about["fingerprint"] == run.model_fingerprint
        assert json.loads(about["poseline"]).keys() == run_metadata(run, _video(system, run.video_id)).keys()
        assert schema.field("time_s").metadata == {b"unit": b"s"}
    assert pq.read_schema(files[0]).field("left_knee_x").metadata == {b"unit": b"px"}


def test_several_videos_get_a_page_of_results(
    runs: dict[str, UUID], clips: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = clips["a"].parents[1]
    (folder / "notes.mp4").write_bytes(b"no video at all")
    try:
        code = main(["analyze", str(folder), "--team", "team", "--model", MODEL, "--out", str(tmp_path / "out")])
    finally:
        (folder / "notes.mp4").unlink()
    captured = capsys.readouterr()
    assert code == 1
    assert "2 of 3 analysed" in captured.out
    assert captured.err.splitlines()[-1].startswith("poseline: notes.mp4: ")
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<li>") == 3
    assert "Not analysed: " in page
    for run_id in runs.values():
        assert (tmp_path / "out" / "index_files" / f"{run_id}.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_a_single_file_that_is_refused_is_named(
    configured: Settings, system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.mp4").write_bytes(b"no video at all")
    assert main(["analyze", str(tmp_path / "notes.mp4")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("poseline: notes.mp4: ")
    assert main(["ingest", str(tmp_path / "notes.mp4")]) == 1
    assert capsys.readouterr().out == ""


def test_errors_are_json_where_results_are(
    configured: Settings, system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    assert error_of(capsys, "show", "nothing", code=2)["error"] == "NotFound"
    assert error_of(capsys, "export", code=2)["message"] == "name a run, or choose runs by --tag KEY=VALUE"
    assert error_of(capsys, "runs", "--limit", "many", code=2)["error"] == "UsageError"
    for name in ("a.mp4", "b.mp4"):
        Path(name).write_bytes(b"no video")
    assert main(["analyze", "a.mp4", "b.mp4", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out) == []
    errors = [json.loads(line) for line in captured.err.splitlines()]
    assert [(error["video"], error["error"]) for error in errors] == [
        ("a.mp4", "VideoRejected"),
        ("b.mp4", "VideoRejected"),
    ]
    assert main(["show", "--json", "nothing"]) == 2
    assert json.loads(capsys.readouterr().err)["error"] == "NotFound"


def _video(system: System, video_id: UUID) -> VideoRow:
    with transaction(system.engine) as connection:
        return select_video(connection, video_id, team=None)


def test_a_preview_replaces_neither_footage_nor_another_run_s(
    runs: dict[str, UUID], clips: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (str(run_id) for run_id in runs.values())
    footage = Path("cam03.mp4")
    footage.write_bytes(clips["a"].read_bytes())
    assert "is no preview of this run" in error_of(capsys, "preview", a, "--out", "cam03.mp4", code=2)["message"]
    assert footage.read_bytes() == clips["a"].read_bytes()
    for name in ("drawn.mp4", "drawn.png"):
        for _ in range(2):
            assert printed(capsys, "preview", a, "--out", name)["files"] == [str(Path(name).resolve())]
        before = Path(name).read_bytes()
        error_of(capsys, "preview", b, "--out", name, code=2)
        assert Path(name).read_bytes() == before
    assert [Path(file).name for file in printed(capsys, "preview", a)["files"]] == [
        "cam03.preview.mp4",
        "cam03.preview.png",
    ]
