"""Retry: a run that ended gets a successor, what was given up in one under way becomes ready, and a wait ends."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.cli.main import main
from pipeline.db import retries
from pipeline.db.chunks import commit_chunk
from pipeline.db.engine import transaction
from pipeline.db.run_ends import mark_cancelled
from pipeline.db.runs import insert_run
from pipeline.db.uploads import repin
from pipeline.errors import LeaseLost, NotFound, SourceGone, UsageError, VideoRejected
from pipeline.inference.engines.placement import Placement
from pipeline.services.detect import detect_chunk, give_up_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.queue_report import get_queue
from pipeline.services.reconcile import tick
from pipeline.services.retry import iter_retry_failed, retry
from pipeline.services.submit import submit_video
from pipeline.services.system import System
from pipeline.services.teams import add_team
from pipeline.settings import Settings
from tests.conftest import opened
from tests.integration.db.test_chunks import claim, commit, encoded, make_run, rows_for
from tests.support.analysis import MODEL, analyse, put_model
from tests.support.harness import ask, assert_nothing_left, export_bytes, run_of, sql, wait_until


def stored_run(system: System, clip: Path, team: str = "team") -> UUID:
    """A run of three chunks over an object that is there."""
    run_id = make_run(system, team=team)
    with transaction(system.engine) as connection:
        repin(connection, run_of(system, run_id).video_id, system.store.put_file(clip, f"test/{run_id}"))
    return run_id


def give_up(system: System, run_id: UUID, idx: int) -> None:
    claimed = claim(system, run_id, idx)
    assert claimed is not None
    with transaction(system.engine) as connection:
        give_up_chunk(connection, claimed.lease, "3 workers died or hung on this part of the video")


def fail(system: System, run_id: UUID) -> None:
    sql(system, "UPDATE chunk SET state = 'cancelled' WHERE run_id = :id AND state IN ('ready', 'queued')", id=run_id)
    sql(system, "UPDATE run SET state = 'failed', reason = 'x', finished_at = now() WHERE id = :id", id=run_id)


def detect_all(system: System, run_id: UUID) -> None:
    models = ModelCache(system, Placement("cpu"))
    for (idx,) in sql(system, "SELECT idx FROM chunk WHERE run_id = :id ORDER BY idx", id=run_id):
        detect_chunk(system, models, run_id, int(str(idx)), "w")


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_run_that_ended_without_results_gets_a_successor_in_its_lane(
    system: System, short_clip: Path, how: str
) -> None:
    run_id = stored_run(system, short_clip)
    sql(system, "UPDATE run SET lane = 'reprocess'")
    if how == "failed":
        fail(system, run_id)
    else:
        with transaction(system.engine) as connection:
            mark_cancelled(connection, run_id)
    done = retry(system, str(run_id)[:8], team="team")
    assert (done.run_id, done.action) == (run_id, "new_run")
    assert done.new_run_id is not None
    new = run_of(system, done.new_run_id)
    assert (new.state, new.lane, new.chunks_total, new.video_id) == (
        "queued",
        "reprocess",
        1,
        run_of(system, run_id).video_id,
    )
    assert done.message == f"{how}; analysed again as run {str(new.id)[:8]}"
    assert run_of(system, run_id).state == how, "a run that ended was changed"
    again = retry(system, str(run_id), team="team")
    assert (again.action, again.new_run_id) == ("existing_run", new.id)


@pytest.mark.parametrize(("deadline", "late"), [("2 h", False), ("-2 h", True)], ids=["to come", "past"])
def test_the_deadline_of_a_run_is_kept_and_shown(
    system: System,
    short_clip: Path,
    configured: Settings,
    capsys: pytest.CaptureFixture[str],
    deadline: str,
    late: bool,
) -> None:
    run_id = stored_run(system, short_clip)
    sql(system, f"UPDATE run SET deadline = now() + interval '{deadline}'")
    fail(system, run_id)
    done = retry(system, str(run_id), team="team")
    assert done.new_run_id is not None
    assert run_of(system, done.new_run_id).deadline == run_of(system, run_id).deadline
    [queued] = get_queue(system).runs
    assert queued.deadline is not None
    assert (queued.run_id, queued.deadline, queued.late) == (done.new_run_id, run_of(system, run_id).deadline, late)
    assert main(["show", str(done.new_run_id)]) == 0
    assert f"  before  {queued.deadline.astimezone():%Y-%m-%d %H:%M}, lane fresh\n" in capsys.readouterr().out


def test_chunks_that_a_run_under_way_gave_up_are_ready_again_and_leave_no_row_behind(
    system: System, short_clip: Path
) -> None:
    run_id = stored_run(system, short_clip)
    sql(system, "UPDATE chunk SET errors = 4, expirations = 2, deaths = 3, attempts = 5")
    for idx in (0, 1):
        give_up(system, run_id, idx)
    assert sql(system, "SELECT count(*) FROM frame WHERE missing IS NOT NULL") == [(20,)]
    one = retry(system, f"{str(run_id)[:8]}:1", team="team")
    assert (one.action, one.chunks) == ("chunks", 1)
    assert sql(system, "SELECT chunks_pending FROM run") == [(2,)]
    assert sql(system, "SELECT chunk_idx, count(*) FROM frame GROUP BY 1") == [(0, 10)]
    other = retry(system, "v.mp4", team="team")
    assert other.message == "running; 1 chunk that had been given up is tried again"
    assert sql(
        system,
        "SELECT DISTINCT attempts, errors, expirations, deaths, last_error, reason, frames_done "
        "FROM chunk WHERE idx < 2",
    ) == [(0, 0, 0, 0, None, None, 0)]
    tick(system)
    assert sql(system, "SELECT chunks_pending FROM run") == [(3,)], "the recount disagrees"
    for idx in range(3):
        claimed = claim(system, run_id, idx)
        assert claimed is not None
        commit(system, claimed)
    finish_run(system, run_id, "w")
    assert_nothing_left(system, run_id)
    assert sql(system, "SELECT state, summary->>'frames_missing' FROM run") == [("done", "0")]
    assert retry(system, str(run_id), team="team").action == "none"


def test_a_run_that_ends_at_that_moment_keeps_what_it_has(system: System, short_clip: Path) -> None:
    run_id = stored_run(system, short_clip)
    give_up(system, run_id, 0)
    with transaction(system.engine) as connection:
        mark_cancelled(connection, run_id)
    with pytest.raises(LeaseLost), transaction(system.engine) as connection:
        retries.requeue_quarantined(connection, run_id)
    assert sql(system, "SELECT state FROM chunk WHERE idx = 0") == [("quarantined",)]
    assert sql(system, "SELECT count(*) FROM frame") == [(10,)]


def test_a_retry_while_the_last_chunk_commits_changes_nothing(system: System, short_clip: Path) -> None:
    run_id = stored_run(system, short_clip)
    give_up(system, run_id, 0)
    one, last = claim(system, run_id, 1), claim(system, run_id, 2)
    assert one is not None
    assert last is not None
    commit(system, one)
    with ThreadPoolExecutor(1) as pool:
        with transaction(system.engine) as connection:
            assert commit_chunk(connection, last, encoded(last, rows_for(last))), "it is the run's last"
            asked = pool.submit(retry, system, str(run_id), team=None)
            wait_until(lambda: sql(system, "SELECT 1 FROM pg_locks WHERE NOT granted"), 10, "the run's row")
        assert asked.result(10).message == "it just ended; ask again"
    assert sql(system, "SELECT state, chunks_pending FROM run") == [("finishing", 0)]
    assert sql(system, "SELECT state FROM chunk WHERE idx = 0") == [("quarantined",)]
    assert sql(system, "SELECT count(*) FROM frame") == [(30,)], "its missing frames went all the same"


def test_a_done_run_with_parts_given_up_gets_a_successor_beside_it(system: System, short_clip: Path) -> None:
    whole = analyse(system, short_clip, chunks=[1, 2, 3])
    give_up(system, whole, 0)
    with opened(system.settings.model_copy(update={"max_missing_share": 1.0})) as lenient:
        finish_run(lenient, whole, "w")
    before = export_bytes(system, whole, system.settings.home / "before.jsonl")
    done = retry(system, "short.mp4", team="team")
    assert done.action == "new_run"
    assert "done, but 1 chunk of it had been given up; analysed again as run" in done.message
    new = done.new_run_id
    assert new is not None
    assert retry(system, str(whole), team=None).new_run_id == new
    with transaction(system.engine) as connection:  # who asks for it now waits for the better one
        video_id, fingerprint = run_of(system, whole).video_id, run_of(system, whole).model_fingerprint
        assert insert_run(connection, video_id, fingerprint) == (new, False)
    detect_all(system, new)
    finish_run(system, new, "w")
    assert sql(system, "SELECT current_run_id FROM video") == [(new,)]
    assert export_bytes(system, whole, system.settings.home / "after.jsonl") == before
    assert run_of(system, whole).state == "done"
    assert retry(system, "short.mp4", team="team").message.startswith("done, and no part of it was given up")


def test_what_waits_after_an_error_is_tried_now(system: System, short_clip: Path) -> None:
    run_id = stored_run(system, short_clip)
    later = "not_before = now() + interval '1 h'"
    sql(system, f"UPDATE chunk SET errors = 2, {later} WHERE idx = 2")
    done = retry(system, f"{run_id}:2", team="team")
    assert (done.action, done.chunks) == ("now", 1)
    assert sql(system, "SELECT errors, not_before <= clock_timestamp() FROM chunk WHERE idx = 2") == [(2, True)]
    assert retry(system, f"{run_id}:2", team="team").action == "none"
    with pytest.raises(NotFound, match="its chunks are 0 to 2"):
        retry(system, f"{run_id}:3", team="team")

    put_model(system.settings.models_path)
    waiting = ask(system, short_clip, team="other", model=MODEL)
    video_id = run_of(system, waiting).video_id
    sql(system, f"UPDATE video SET {later} WHERE id = :id", id=video_id)
    assert retry(system, str(video_id)[:13], team="other").action == "now"
    ingest_video(system, video_id, "w")
    detect_all(system, waiting)
    sql(system, f"UPDATE run SET {later} WHERE id = :id", id=waiting)
    assert retry(system, "short", team="other").message == "tried again now"
    finish_run(system, waiting, "w")
    assert run_of(system, waiting).state == "done"


def test_a_rejected_video_is_read_again_while_its_upload_is_stored(system: System, short_clip: Path) -> None:
    put_model(system.settings.models_path)
    run_id = ask(system, short_clip, model=MODEL)
    video_id = run_of(system, run_id).video_id
    sql(system, "UPDATE video SET sha256 = repeat('0', 64)")
    with pytest.raises(VideoRejected, match="damaged"):
        ingest_video(system, video_id, "w")
    sql(system, "UPDATE video SET sha256 = NULL, errors = 4")
    done = retry(system, str(run_id), team="team")
    assert "ingested and analysed again as run" in done.message
    assert sql(system, "SELECT state, errors, reason FROM video") == [("stored", 0, None)]
    ingest_video(system, video_id, "w")
    assert done.new_run_id is not None
    assert run_of(system, done.new_run_id).state == "queued"


def test_what_is_not_stored_has_to_be_uploaded_again(system: System, short_clip: Path, tmp_path: Path) -> None:
    put_model(system.settings.models_path)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(VideoRejected):
        submit_video(system, str(tmp_path / "empty.mp4"), "team", MODEL)
    with pytest.raises(UsageError, match=r"empty\.mp4 was refused before it was stored .*; upload it again"):
        retry(system, "empty.mp4", team="team")
    run_id = stored_run(system, short_clip)
    fail(system, run_id)
    system.store.delete(f"test/{run_id}")
    with pytest.raises(SourceGone):
        retry(system, str(run_id), team="team")
    assert sql(system, "SELECT count(*) FROM run WHERE state = 'queued'") == [(0,)]


def test_chunks_of_a_run_that_ended_and_runs_of_other_teams_are_left_alone(system: System, short_clip: Path) -> None:
    run_id = stored_run(system, short_clip)
    add_team(system, "other")
    fail(system, run_id)
    with pytest.raises(UsageError, match=f"`poseline retry {str(run_id)[:8]}` tries the whole of it again"):
        retry(system, f"{run_id}:0", team="team")
    for target in (str(run_id), f"{run_id}:0", str(run_of(system, run_id).video_id)):
        with pytest.raises(NotFound):
            retry(system, target, team="other")
    assert list(iter_retry_failed(system, team="other", since=None)) == []


def test_after_an_outage_all_that_failed_is_tried_again_once(
    system: System, short_clip: Path, configured: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = [stored_run(system, short_clip) for _ in range(3)]
    for run_id in failed:
        fail(system, run_id)
    sql(system, "UPDATE run SET finished_at = now() - interval '2 days' WHERE id = :id", id=failed[0])
    under_way, not_stored = stored_run(system, short_clip), make_run(system)
    give_up(system, under_way, 0)
    fail(system, not_stored)
    refused = stored_run(system, short_clip)
    fail(system, refused)
    sql(system, "ALTER TABLE video DISABLE TRIGGER USER")
    sql(system, "UPDATE video SET state = 'rejected' WHERE id = :id", id=run_of(system, refused).video_id)
    sql(system, "ALTER TABLE video ENABLE TRIGGER USER")

    assert main(["retry", "--all-failed", "--since", "1d", "--json"]) == 0
    found = {UUID(each["run_id"]): each for each in json.loads(capsys.readouterr().out)}
    assert found.keys() == {failed[1], failed[2], under_way, not_stored}
    assert {found[each]["action"] for each in failed[1:]} == {"new_run"}
    assert (found[under_way]["action"], found[under_way]["chunks"]) == ("chunks", 1)
    assert found[not_stored]["action"] == "refused"

    assert main(["retry", "--all-failed"]) == 0
    out = capsys.readouterr().out
    assert out.count("analysed again as run") == 1, "some were tried again twice, or the oldest was not"
    assert "1 of 2 are tried again" in out
    assert main(["retry", "nothing", str(under_way)]) == 2
    printed = capsys.readouterr()
    assert "running, and nothing of it was given up" in printed.out
    assert "no video or run is called 'nothing'" in printed.err
    assert main(["retry", "--all-failed", "--since", "1h", "--team", "team"]) == 0
    assert "0 of 1 are tried again" in capsys.readouterr().out
    assert main(["retry"]) == main(["retry", "x", "--all-failed"]) == main(["retry", "x", "--since", "1d"]) == 2
