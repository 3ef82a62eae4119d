"""`poseline verify` is green on a run that is right and red on each kind of damage; no damaged run becomes done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.core.object_keys import export_key
from pipeline.core.states import RunState
from pipeline.db.engine import transaction
from pipeline.db.videos import select_frame_index
from pipeline.errors import RunFailed, SourceGone
from pipeline.services.finish import finish_run
from pipeline.services.system import System
from pipeline.services.upload import upload_file
from pipeline.services.verify import Verdict, verify_run
from pipeline.storage.store_errors import BucketMissing
from tests.support.analysis import analyse
from tests.support.harness import cut, environment, run_of, sql
from tests.support.paths import DEMO_CLIP
from tests.support.video_maker import make_video

FRAMES = 40
REST = "people, missing, scores, boxes, keypoints"
SOMEBODY = "people = 1, scores = '{0.9}', boxes = '{1,2,3,4}', keypoints = array_fill(5::real, ARRAY[51])"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut(DEMO_CLIP, tmp_path_factory.mktemp("clip") / "clip.mp4", FRAMES)


def wrong(verdict: Verdict) -> dict[str, str]:
    return {check.what: check.found for check in verdict.checks if not check.good}


DAMAGES: dict[str, tuple[str, str]] = {
    "deleted": ("DELETE FROM frame WHERE frame = 7", "1 missing (frame 7 at"),
    "doubled": (
        f"INSERT INTO frame SELECT run_id, 40, chunk_idx, pts, {REST} FROM frame WHERE frame = 7",
        "1 doubled (frame 7 at",
    ),
    "shifted": ("UPDATE frame SET pts = pts + 1 WHERE frame = 7", "1 missing, 1 foreign"),
    "foreign": (
        f"INSERT INTO frame SELECT run_id, 40, chunk_idx, 999999, {REST} FROM frame WHERE frame = 7",
        "1 foreign (row 40 at pts 999999 is no frame of the video)",
    ),
    "swapped": (
        "UPDATE frame a SET pts = (SELECT pts FROM frame b WHERE b.frame = 15 - a.frame) WHERE frame IN (7,8)",
        "2 out of order",
    ),
}


def test_verify_goes_red_on_each_kind_of_damage(system: System, clip: Path, tmp_path: Path) -> None:
    run_id = analyse(system, clip)
    assert run_of(system, run_id).state is RunState.DONE
    whole = verify_run(system, run_id)
    assert wrong(whole) == {}
    assert [check.what for check in whole.checks] == ["video", "index", "properties", "frames", "export"]
    sql(system, "CREATE TABLE kept AS SELECT * FROM frame")

    for damage, words in DAMAGES.values():
        sql(system, damage)
        found = wrong(verify_run(system, run_id))
        assert words in found["frames"]
        assert "does not have" in found["export"]
        sql(system, "TRUNCATE frame")
        sql(system, "INSERT INTO frame SELECT * FROM kept")

    sql(system, f"UPDATE frame SET {SOMEBODY} WHERE frame = 3")
    found = wrong(verify_run(system, run_id))
    assert set(found) == {"frames", "export"}
    assert "every frame once, in order; the summary has frames_with_people 0 for 1, poses 0 for 1" in found["frames"]
    sql(system, "TRUNCATE frame")
    sql(system, "INSERT INTO frame SELECT * FROM kept")
    assert verify_run(system, run_id).good

    for facts in ("time_base_den = 7", "first_pts = 5", "last_pts = 5", "frames = 41", "width = 9", "codec = 'vp8'"):
        sql(system, "CREATE TABLE was AS SELECT * FROM video")
        sql(system, f"UPDATE video SET {facts}")
        found = wrong(verify_run(system, run_id))
        assert facts.split(" = ")[0].removesuffix("_den") in found["properties"]
        columns = "time_base_den, first_pts, last_pts, frames, width, codec"
        sql(system, f"UPDATE video SET ({columns}) = (SELECT {columns} FROM was)")
        sql(system, "DROP TABLE was")
    sql(system, "UPDATE run SET summary = jsonb_set(summary, '{poses}', '77')")
    assert "the summary has poses 77 for 0" in wrong(verify_run(system, run_id))["frames"]
    sql(system, "UPDATE run SET summary = jsonb_set(summary, '{poses}', '0')")
    sql(system, "UPDATE frame SET people = 2 WHERE frame = 5")
    assert "5 rows can be read" in wrong(verify_run(system, run_id))["frames"]
    sql(system, "UPDATE frame SET people = 0 WHERE frame = 5")
    assert verify_run(system, run_id).good

    key = export_key(run_id)
    system.store.put_file(clip, key)
    assert set(wrong(verify_run(system, run_id))) == {"export"}
    system.store.delete(key)
    assert "is gone" in wrong(verify_run(system, run_id))["export"]


def test_verify_goes_red_when_the_stored_video_is_another(system: System, clip: Path, tmp_path: Path) -> None:
    other = make_video(tmp_path / "other.mp4", FRAMES + 1)
    run_ids = analyse(system, clip), analyse(system, other)
    assert all(verify_run(system, run_id).good for run_id in run_ids)
    _swapped_rows(system)
    for run_id in run_ids:
        assert "as ingested" in wrong(verify_run(system, run_id))["video"]
    _swapped_rows(system)
    assert all(verify_run(system, run_id).good for run_id in run_ids)
    third = make_video(tmp_path / "third.mp4", FRAMES + 2)
    for damage, words in ((_overwritten, "changed since it was ingested"), (_removed, "is gone from the object store")):
        damage(system, third)
        for run_id in run_ids:
            assert words in wrong(verify_run(system, run_id))["video"]


def _swapped_rows(system: System) -> None:
    """Two rows that point at each other's objects."""
    columns = "object_key, etag, size_bytes, version_id"
    sql(system, f"UPDATE video SET ({columns}) = (SELECT {columns} FROM video AS other WHERE other.id <> video.id)")


def _overwritten(system: System, by: Path) -> None:
    for (key,) in sql(system, "SELECT object_key FROM video"):
        system.store.put_file(by, str(key))


def _removed(system: System, _: Path) -> None:
    for (key,) in sql(system, "SELECT object_key FROM video"):
        system.store.delete(str(key))


def test_a_missing_bucket_is_no_fault_of_the_run(
    system: System, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = analyse(system, clip)
    for name, value in {**environment(system.settings), "POSELINE_S3_BUCKET": "missing-bucket"}.items():
        monkeypatch.setenv(name, value)
    assert main(["verify", str(run_id)[:8]]) == 1
    printed = capsys.readouterr()
    assert "WRONG" not in printed.out
    assert "there is no bucket missing-bucket in the object store: make it with `poseline store init`" in printed.err
    sql(system, "UPDATE video SET bucket = 'another-missing-bucket'")
    with pytest.raises(BucketMissing, match="there is no bucket another-missing-bucket in the object store"):
        verify_run(system, run_id)


def test_verify_goes_red_when_the_ledger_was_tampered_with(system: System, clip: Path) -> None:
    run_id = analyse(system, clip)
    with transaction(system.engine) as connection:
        index = select_frame_index(connection, run_of(system, run_id).video_id)
    pts = index.pts.copy()
    pts[-1] += 1
    sql(system, "UPDATE video SET frame_index = :data", data=replace(index, pts=pts).to_bytes())
    assert "pts of 1 frames" in wrong(verify_run(system, run_id))["index"]
    shorter = {name: getattr(index, name)[:-1] for name in ("pts", "keyframe", "position_bytes", "size_bytes")}
    sql(system, "UPDATE video SET frame_index = :data", data=replace(index, **shorter).to_bytes())
    for broken in (None, b"\0\xff", index.to_bytes()[:60]):
        sql(system, "UPDATE video SET frame_index = :data", data=broken)
        assert "cannot be read" in wrong(verify_run(system, run_id))["index"]
    sql(system, "UPDATE video SET frame_index = :data", data=replace(index, **shorter).to_bytes())
    assert "40 frames, 39 were recorded" in wrong(verify_run(system, run_id))["index"]


def test_a_video_whose_object_is_gone_is_given_it_again_by_the_same_content(
    system: System, clip: Path, tmp_path: Path
) -> None:
    run_id = analyse(system, clip)
    for damage in (_removed, _overwritten):
        damage(system, make_video(tmp_path / f"{damage.__name__}.mp4"))
        assert "video" in wrong(verify_run(system, run_id))
        again = upload_file(system, clip, "team")
        assert again.existed
        assert again.video.id == run_of(system, run_id).video_id
        assert verify_run(system, run_id).good


def test_a_run_whose_video_went_away_before_it_was_finished_fails(system: System, clip: Path) -> None:
    run_id = analyse(system, clip, finish=False)
    _removed(system, clip)
    with pytest.raises(SourceGone):
        finish_run(system, run_id, "w")
    run = run_of(system, run_id)
    assert run.state is RunState.FAILED
    assert "is gone from the object store" in str(run.reason)


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_run_does_not_become_done(system: System, clip: Path, kind: str) -> None:
    damage, words = DAMAGES[kind]
    run_id = analyse(system, clip, finish=False)
    with pytest.raises(RunFailed, match="only a run that is done"):
        verify_run(system, run_id)
    sql(system, damage)
    with pytest.raises(RunFailed, match="the frames are not the video's"):
        finish_run(system, run_id, "w")
    run = run_of(system, run_id)
    assert run.state is RunState.FAILED
    assert words in str(run.reason)


def test_the_command_says_what_is_wrong_and_exits_with_1(
    system: System, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = analyse(system, clip)
    for name, value in environment(system.settings).items():
        monkeypatch.setenv(name, value)

    def verify(*args: str) -> tuple[int, str]:
        return main(["verify", str(run_id)[:8], *args]), capsys.readouterr().out

    code, words = verify()
    assert code == 0
    assert "correct" in words
    assert f"{FRAMES} rows: every frame once, in order" in words
    sql(system, "DELETE FROM frame WHERE frame = 0")
    code, words = verify()
    assert code == 1
    assert "NOT correct" in words
    assert "WRONG: 39 rows: 1 missing (frame 0 at pts" in words
    code, words = verify("--json")
    assert code == 1
    assert [check["good"] for check in json.loads(words)["checks"]] == [True, True, True, False, False]
