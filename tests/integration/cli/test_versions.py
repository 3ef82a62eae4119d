"""Versions of a video as a person meets them: compared, drawn, promoted, rolled back, and reported on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import UUID

import cv2
import numpy as np
import pytest

from pipeline.cli.main import main
from pipeline.core.keypoints import HAND_21
from pipeline.core.poses import FramePoses
from pipeline.services.preview.strip import AFTER, BEFORE
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.commands import printed, said
from tests.support.harness import cut, sql
from tests.support.paths import DEMO_CLIP, ROOT
from tests.support.versions import current_of, make_pass, make_run, make_video, people, take_in

NIGHT = re.compile(r"```console\n(.*?)```", re.S)


def error_of(capsys: pytest.CaptureFixture[str], *args: str, code: int = 2) -> str:
    """The one line in which a command says why it cannot."""
    capsys.readouterr()
    assert main([*args]) == code
    [line] = capsys.readouterr().err.splitlines()[-1:]
    return line


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with people."""
    return cut(DEMO_CLIP, tmp_path_factory.mktemp("clips") / "cam1.mp4", 60)


def loses_one(number: int) -> FramePoses:
    """The second person is not there in every sixth frame, and the first stands a little aside."""
    return people(100, 400, moved_px=3) if number % 6 else people(100, moved_px=3)


@pytest.fixture
def two_runs(configured: Settings, system: System, clip: Path) -> tuple[UUID, UUID, UUID]:
    """A video that can be decoded, its current run and one that was kept back."""
    video_id = take_in(system, clip)
    return video_id, make_run(system, video_id), make_run(system, video_id, loses_one, model="newer", rule="better")


def test_two_runs_are_compared_by_name_and_by_id(
    two_runs: tuple[UUID, UUID, UUID], capsys: pytest.CaptureFixture[str]
) -> None:
    _, older, newer = (str(each) for each in two_runs)
    for names in (("cam1",), (newer[:8],), (older, newer), ("cam1.mp4", newer[:6])):
        facts = printed(capsys, "compare", *names)
        assert (facts["before"]["run_id"], facts["after"]["run_id"]) == (older, newer), names
        assert (facts["people_before"], facts["people_lost"], facts["frames_compared"]) == (120, 10, 60)
    assert (facts["before"]["is_current"], facts["after"]["is_current"]) == (True, False)
    assert (facts["files"], len(facts["joints"]), len(facts["changed_most"])) == ([], 17, 12)
    back = printed(capsys, "compare", newer, older)
    assert (back["people_lost"], back["people_found"]) == (0, 10)
    text = said(capsys, "compare", "cam1")
    assert "people     120 before, 110 after: 110 in both, 10 lost (8.3%), 0 found" in text
    assert re.search(r"left_ankle +(2\.9|3\.0)\d px", text)
    assert re.search(r"drift +median (2\.9|3\.0)\d px \(3\.\d% of a person's size\)", text)
    assert error_of(capsys, "compare", older) == (
        f"poseline: cam1.mp4 has no other run to compare run {older[:8]} with; name two runs, or analyse it by another "
        "model: `poseline analyze --model …`"
    )


def test_runs_of_two_videos_and_runs_under_way_are_not_compared(
    two_runs: tuple[UUID, UUID, UUID], system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    video_id, older, _ = two_runs
    other = make_run(system, make_video(system, "cam2.mp4"))
    assert "runs of one video can be compared, not" in error_of(capsys, "compare", str(older), str(other))
    under_way = make_run(system, video_id, model="third", finish=False)
    assert "is finishing: wait until it has ended" in error_of(capsys, "compare", str(older), str(under_way), code=1)


def test_the_strip_shows_both_skeletons_in_the_frames_that_changed_most(
    two_runs: tuple[UUID, UUID, UUID], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("strip.jpg", "strip.png"):
        for _ in range(2):  # its own picture may be replaced
            assert printed(capsys, "compare", "cam1", "--out", name)["files"] == [name]
        picture = cv2.imread(name)
        assert picture is not None
        assert picture.shape[1] == 1920
        assert picture.shape[0] > 600
    tiles = [tile for band in np.array_split(picture[36:], 3) for tile in np.array_split(band, 4, axis=1)]
    changed = printed(capsys, "compare", "cam1")["changed_most"]
    for tile, each in zip(tiles, changed, strict=True):
        colour = BEFORE if each["lost"] else AFTER  # who moved a little hides who was there before
        assert (np.abs(tile.astype(int) - colour).max(axis=2) < 30).any(), each
    assert {each["lost"] for each in changed} == {0, 1}
    Path("mine.jpg").write_bytes(b"mine")
    assert "is no comparison of these runs" in error_of(capsys, "compare", "cam1", "--out", "mine.jpg")
    assert Path("mine.jpg").read_bytes() == b"mine"
    assert "must end in .jpg or .png" in error_of(capsys, "compare", "cam1", "--out", "strip.gif")
    older = str(two_runs[1])
    same = printed(capsys, "compare", older, older, "--out", "same.jpg")
    assert (same["files"], same["file_notes"]) == ([], ["nothing changed, so there is no picture"])
    assert not Path("same.jpg").exists()


def test_models_without_a_common_keypoint_are_compared_by_boxes(
    two_runs: tuple[UUID, UUID, UUID], system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    video_id, older, _ = two_runs
    hands = make_run(
        system, video_id, lambda _: people(100, 400, keypoints=21), model="hands", rule="manual", keypoints=HAND_21
    )
    text = said(capsys, "compare", str(older), str(hands))
    assert "matched by boxes (IoU): the models have no keypoint of the same name" in text
    assert "OKS" not in text


def test_promote_rollback_and_history(
    two_runs: tuple[UUID, UUID, UUID], system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    video_id, older, newer = two_runs
    assert f"run {str(newer)[:8]} (newer) is current now instead of run {str(older)[:8]}" in said(
        capsys, "promote", "cam1", "--by", "ann", "--reason", "looked at the strip"
    )
    assert "is current already; nothing changed" in said(capsys, "promote", "cam1")
    [listed] = [run for run in printed(capsys, "runs") if run["is_current"]]
    assert (listed["run_id"], listed["promotion"]) == (str(newer), "better")
    shown = said(capsys, "show", str(newer))
    assert "  current since " in shown
    assert "by ann: looked at the strip" in shown
    assert f"  against run {str(older)[:8]}: 10 of 120 people lost, 0 found, OKS 0." in shown
    [change] = printed(capsys, "rollback", "cam1")
    assert (change["action"], change["run_id"], current_of(system, video_id)) == ("rolled_back", str(older), older)
    assert change["by"]
    facts = printed(capsys, "history", "cam1")
    assert [(each["promoted"], each["run_id"], each["by"]) for each in facts["history"]] == [
        (True, str(older), change["by"]),
        (True, str(newer), "ann"),
        (False, str(newer), "rule"),
        (True, str(older), "rule"),
    ]
    text = said(capsys, "history", "cam1.mp4")
    assert re.search(r"kept back +\w{8} +newer +rule +lost: 8.3% \(10 of 120 people\), wanted at most 2%", text)
    assert re.search(r"rolled back to +\w{8} +older", text)
    kept = said(capsys, "show", str(newer))
    assert "  kept back" not in kept, "it was current, and then another was promoted"
    assert "  not current" in kept
    assert "there is none before it" in error_of(capsys, "rollback", "cam1")
    assert "name a video, or choose videos by" in error_of(capsys, "rollback")
    assert "there is no schedule 'nightly'" in error_of(capsys, "rollback", "--schedule", "nightly")


@pytest.fixture
def campaign(configured: Settings, system: System, clip: Path) -> dict[str, UUID]:
    """A night of six videos: better, worse, the first of its video, rolled back, failed, and not yet done."""
    night = make_pass(system, "2026-11-27 nightly", schedule="nightly", rule="better")
    videos = {"worse": take_in(system, clip)}
    for name in ("better", "first", "rolled back", "failed", "open"):
        videos[name] = make_video(system, f"{name} | *.mp4", frames=60)
    for name, video_id in videos.items():
        if name != "first":
            make_run(system, video_id)
        scene = loses_one if name == "worse" else lambda _: people(100, 400, 700)
        run_id = make_run(
            system, video_id, scene, model="newer", rule="better", pass_id=night, finish=name not in {"failed", "open"}
        )
        if name == "failed":
            sql(system, "UPDATE run SET state = 'failed', reason = 'bad luck' WHERE id = :id", id=run_id)
    assert main(["rollback", str(videos["rolled back"])]) == 0
    return videos


def test_a_report_says_what_a_night_changed(
    campaign: dict[str, UUID], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("nightly", "2026-11-27 nightly"):
        facts = printed(capsys, "report", name)
        assert facts["videos"] == 6
        assert facts["by_state"] == {"done": 4, "failed": 1, "finishing": 1}
        assert (facts["promoted"], facts["first_runs"], facts["replaced"], facts["compared"]) == (2, 1, 1, 3)
        [kept] = facts["kept_back"]
        assert kept["video"] == "cam1.mp4"
        assert kept["reason"].startswith("lost: 8.3% (10 of 120 people), wanted at most 2%; people: -10")
        assert facts["kept_by_measure"] == {"lost": 1, "people": 1}
        assert [each["reason"] for each in facts["failed"]] == ["bad luck"]
        assert (facts["totals"]["people_before"], facts["totals"]["people_lost"]) == (360, 10)
        assert facts["totals"]["people_found"] == 120
        assert facts["worst"][0]["video"] == "cam1.mp4"
        assert facts["means"]["oks_mean"] == pytest.approx(
            sum(each["figures"]["oks_mean"] for each in facts["worst"]) / 3
        )
    page = said(capsys, "report", "nightly")
    assert page.startswith("# Schedule nightly\n")
    assert "| kept back | 1 |" in page
    assert r"| rolled back \| \*.mp4 |" in page
    assert "there is no schedule or pass 'weekly'" in error_of(capsys, "report", "weekly")
    assert printed(capsys, "report", "nightly", "--team", "default")["videos"] == 0


def test_a_report_comes_with_pictures_of_the_worst(
    campaign: dict[str, UUID], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for _ in range(2):  # written over by the next
        facts = printed(capsys, "report", "nightly", "--out", "night")
    files = sorted(path.name for path in Path("night").iterdir())
    assert files[0].startswith("01-cam1-")
    assert files[1:] == ["report.json", "report.md"]
    assert len(facts["file_notes"]) == 2, "the placeholders of this test cannot be decoded"
    assert json.loads(Path("night/report.json").read_text())["videos"] == 6
    page = Path("night/report.md").read_text()
    assert f"![What changed most]({files[0]})" in page
    Path("file").touch()
    assert "is no folder" in error_of(capsys, "report", "nightly", "--out", "file")


def test_the_night_of_the_docs_works_as_written(
    campaign: dict[str, UUID], system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command of docs/versions.md, in its order."""
    text = (ROOT / "docs" / "versions.md").read_text()
    commands = [line[2:] for block in NIGHT.findall(text) for line in block.splitlines() if line.startswith("$ ")]
    names = {command.split()[1] for command in commands}
    assert names == {"compare", "promote", "rollback", "history", "report"}
    for command in commands:
        words = [word.strip("'\"") for word in re.findall(r"'[^']*'|\"[^\"]*\"|\S+", command)][1:]
        assert main(words) == 0, (command, capsys.readouterr())
    assert Path("night/report.md").exists()
    assert Path("changed.jpg").exists()
