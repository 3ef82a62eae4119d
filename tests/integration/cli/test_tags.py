"""Tags on the command line: given, merged, shown, changed, and selected by."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.tags import MAX_TAGS
from pipeline.services.result_page import write_result_page
from pipeline.services.system import System
from pipeline.services.teams import add_team
from tests.support.analysis import MODEL, analyse
from tests.support.commands import printed, said
from tests.support.harness import cut, sql
from tests.support.paths import DEMO_CLIP

pytestmark = pytest.mark.usefixtures("configured")

TAGS = "SELECT video.tags FROM video ORDER BY name"


@pytest.fixture
def clips(tmp_path: Path) -> dict[str, Path]:
    """Two videos of the season 2026 and one of 2025, by the numbers of their cameras."""
    made = {}
    for camera, where in (("01", "2026/u18"), ("02", "2026/u18"), ("03", "2025/u16")):
        (tmp_path / where).mkdir(parents=True, exist_ok=True)
        made[camera] = cut(DEMO_CLIP, tmp_path / where / f"final_{camera}.mp4", 8 + int(camera))
    return made


def test_tags_come_from_paths_and_the_command_line(
    system: System, clips: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    add_team(system, "u18")
    pattern = ("--key-pattern", "{season}/{team}/{match}_{camera}.mp4")
    facts = printed(capsys, "ingest", "2026", "2025", *pattern, "--tag", "league=north")
    assert [(one["team"], one["tags"]) for one in facts] == [
        ("u18", {"season": "2026", "match": "final", "camera": "01", "league": "north"}),
        ("u18", {"season": "2026", "match": "final", "camera": "02", "league": "north"}),
        ("default", {"season": "2025", "team": "u16", "match": "final", "camera": "03", "league": "north"}),
    ]
    assert sql(system, TAGS) == [(one["tags"],) for one in facts]
    shown = said(capsys, "ingest", "2026", "--key-pattern", "cam{camera}.mp4", "--tag", "season=2027", "--team", "u18")
    assert f"no tags from {Path('2026/u18/final_01.mp4')} and 1 more: it does not fit --key-pattern" in shown
    assert "final_01.mp4: the tag season is 2027 now (it was 2026)" in shown
    assert sql(system, "SELECT tags ->> 'season', tags ->> 'camera' FROM video ORDER BY name LIMIT 1") == [
        ("2027", "01")
    ]


def test_runs_are_selected_by_tags(system: System, clips: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    runs = {camera: analyse(system, clip) for camera, clip in clips.items() if camera != "02"}
    for camera, clip in clips.items():
        tags = ("--tag", f"season={clip.parent.parent.name}", "--tag", f"camera={camera}")
        printed(capsys, "ingest", str(clip), "--team", "team", "--model", MODEL, *tags)
    listed = printed(capsys, "runs", "--tag", "season=2026")
    assert [one["tags"]["camera"] for one in listed] == ["02", "01"]
    assert [one["video"] for one in printed(capsys, "runs", "--tag", "season=2026", "--tag", "camera=01")] == [
        "final_01.mp4"
    ]
    assert printed(capsys, "runs", "--tag", "season=2024") == []
    assert "camera=03, season=2025" in said(capsys, "runs", "--tag", "camera=03")
    assert "  tags    camera=03, season=2025" in said(capsys, "show", "final_03")
    assert sql(system, "SELECT tags FROM run_summary WHERE tags ->> 'camera' = '03'") == [
        ({"camera": "03", "season": "2025"},)
    ]
    exported = printed(capsys, "export", "--tag", "season=2026", "--out", "season", "--format", "csv")
    assert [(one["run_id"], Path(one["files"][0])) for one in exported] == [
        (str(runs["01"]), Path("season/final_01.csv"))  # the other is not done
    ]
    [drawn] = printed(capsys, "preview", "--tag", "camera=03", "--out", "season")
    assert [Path(path).name for path in drawn["files"]] == ["final_03.preview.mp4", "final_03.preview.png"]
    printed(capsys, "tag", "final_01", "half=2")
    printed(capsys, "tag", "final_03", "half=2")
    [(key,)] = sql(system, "SELECT object_key FROM video WHERE name = 'final_01.mp4'")
    system.store.delete(str(key))
    [other] = printed(capsys, "preview", "--tag", "half=2", "--out", "halves", code=1)
    assert other["run_id"] == drawn["run_id"], "one that cannot be drawn kept the other from it"
    printed(capsys, "export", "final_03", "--out", "season/final_03.jsonl")
    assert "<span>season=2025</span>" in write_result_page(Path("season")).read_text()
    assert [one["was_open"] for one in printed(capsys, "cancel", "--tag", "season=2026")] == [True]
    assert sql(system, "SELECT state FROM run ORDER BY state") == [("cancelled",), ("done",), ("done",)]


def test_what_is_tried_again_and_verified_is_selected_by_tags(
    system: System, clips: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {camera: analyse(system, clip) for camera, clip in clips.items()}
    for camera, clip in clips.items():
        printed(capsys, "tag", clip.name, f"season={clip.parent.parent.name}", f"camera={camera}")
    failed = "UPDATE run SET state = 'failed', finished_at = now() WHERE id = :id"
    sql(system, "ALTER TABLE run DISABLE TRIGGER USER")
    for camera in ("01", "03"):
        sql(system, failed, id=runs[camera])
    [again] = printed(capsys, "retry", "--all-failed", "--tag", "season=2026")
    assert (again["run_id"], again["action"]) == (str(runs["01"]), "new_run")
    assert said(capsys, "cancel", "--tag", "camera=01").endswith(": cancelled\n")
    shown = said(capsys, "retry", "--tag", "season=2026").splitlines()
    assert shown[0].startswith(f"final_01.mp4, run {again['new_run_id'][:8]}: cancelled; analysed again as run ")
    assert shown[1:] == ["1 of 2 are tried again"], "a run that is done was tried again, or told of"
    facts = printed(capsys, "retry", "--tag", "season=2026", "--tag", "camera=02")
    assert [(fact["run_id"], fact["action"]) for fact in facts] == [(str(runs["02"]), "none")]

    [verdict] = printed(capsys, "verify", "--tag", "season=2026")
    assert (verdict["run_id"], verdict["good"]) == (str(runs["02"]), True)
    assert f"run {str(runs['02'])[:8]}: correct" in said(capsys, "verify", "--tag", "season=2026")
    sql(system, "UPDATE frame SET pts = pts + 1 WHERE run_id = :id AND frame = 3", id=runs["02"])
    assert "NOT correct" in said(capsys, "verify", "--tag", "season=2026", code=1)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("retry", "--tag", "a=b"), "no run has a video tagged a=b"),
        (
            ("retry", "x", "--tag", "a=b"),
            "name what to try again, or choose it by --all-failed, --tag KEY=VALUE or both",
        ),
        (("retry", "--tag", "a=b", "--since", "1d"), "--since goes with --all-failed"),
        (("verify",), "name a run, or choose runs by --tag KEY=VALUE"),
        (("verify", "--tag", "a=b"), "no run that is done has a video tagged a=b"),
        (("cancel",), "name a run, or choose runs by --tag KEY=VALUE"),
        (("cancel", "x", "--tag", "a=b"), "give RUN or --tag, not both"),
        (("cancel", "--tag", "a=b"), "no open run has a video tagged a=b"),
        (("export", "--tag", "a=b"), "no run that is done has a video tagged a=b"),
        (("export", "--tag", "a=b", "--team", "nobody"), "there is no team 'nobody'"),
        (("runs", "--tag", "season"), "'season' is no tag: write key=value"),
        (("ingest", "x.mp4", "--tag", "a b=c"), "is no key of a tag"),
        (("ingest", "x.mp4", "--key-pattern", "*.mp4"), "is no pattern: write it like"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_selected_is_said(
    system: System, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], words: str
) -> None:
    line = said(capsys, *args, code=2)
    assert words in line
    assert len(line.splitlines()) == 1


def test_tags_are_changed_afterwards(
    system: System, clips: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    add_team(system, "u18")
    [fact] = printed(capsys, "ingest", str(clips["01"]), "--team", "u18", "--tag", "season=2025", "--tag", "camera=01")
    changed = printed(capsys, "tag", "final_01", "season=2026", "half=2", "--remove", "camera")
    assert changed == {
        "video_id": fact["video_id"],
        "video": "final_01.mp4",
        "team": "u18",
        "tags": {"season": "2026", "half": "2"},
    }
    assert said(capsys, "tag", fact["run_id"][:8]) == "final_01.mp4: half=2, season=2026\n"
    assert printed(capsys, "tag", fact["video_id"], "--remove", "half")["tags"] == {"season": "2026"}
    full = [f"k{number}=v" for number in range(MAX_TAGS)]
    for args, words in (
        (("final_01", "--remove", "camera"), "the video has no tag 'camera'; it has season"),
        (("final_01", "season=1", "--remove", "season"), "is set and removed at once"),
        (("final_01", *full), f"a video has {MAX_TAGS} at most"),
        (("final_01", "--team", "default"), "no video or run of team default"),
        ((fact["video_id"], "--team", "default"), "no video or run of team default"),
        (("final_01", "season="), "printable characters"),
    ):
        assert words in said(capsys, "tag", *args, code=2)
    assert sql(system, TAGS) == [({"season": "2026"},)]
    assert said(capsys, "tag", "final_01", "--remove", "season") == "final_01.mp4: no tags\n"


def test_a_video_that_would_have_too_many_tags_gets_none_of_them(
    system: System, clips: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    many = [part for number in range(MAX_TAGS) for part in ("--tag", f"k{number}=v")]
    printed(capsys, "ingest", str(clips["01"]), *many)
    assert f"a video has {MAX_TAGS} at most" in said(capsys, "ingest", str(clips["01"]), "--tag", "one=more", code=2)
    [(tags,)] = sql(system, TAGS)
    assert isinstance(tags, dict)
    assert len(tags) == MAX_TAGS
