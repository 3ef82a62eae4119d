"""How leased work ends without success: what is written, what is logged, what Flower sees, and what is left behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from pipeline.core.object_keys import export_key
from pipeline.db.chunks import claim_chunk
from pipeline.db.engine import transaction
from pipeline.db.run_ends import claim_finish, mark_cancelled, mark_failed, set_export_key
from pipeline.db.uploads import insert_video, repin
from pipeline.db.videos import claim_ingest
from pipeline.errors import LeaseLost, RunFailed, SourceGone, VideoRejected
from pipeline.inference.engines.placement import Placement
from pipeline.services.cancel import cancel_run
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.leased_work import WorkKind, leased_work
from pipeline.services.model_cache import ModelCache
from pipeline.services.plan import plan_runs
from pipeline.services.reconcile import tick
from pipeline.services.system import System
from pipeline.services.upload import upload_file
from tests.conftest import opened
from tests.integration.db.test_chunks import claim, commit, make_run
from tests.support.harness import report_worker, run_of, sql, wait_until

HOUR_AGO = "UPDATE run SET finished_at = now() - interval '61 minutes'"


def finishing_run(system: System, clip: Path) -> UUID:
    """A run whose chunks are all committed, over an object that is there."""
    run_id = make_run(system)
    with transaction(system.engine) as connection:
        repin(connection, run_of(system, run_id).video_id, system.store.put_file(clip, f"test/{run_id}"))
    for idx in range(3):
        claimed = claim(system, run_id, idx)
        assert claimed is not None
        commit(system, claimed)
    return run_id


def exports(system: System, run_id: UUID) -> list[str]:
    return list(system.store.list_keys(export_key(run_id)))


def test_a_run_that_fails_its_check_stores_no_export_and_is_seen_to_fail(system: System, short_clip: Path) -> None:
    run_id = finishing_run(system, short_clip)
    sql(system, "UPDATE frame SET missing = 'damaged' WHERE frame < 10")
    with pytest.raises(RunFailed, match="10 of 30 frames"):
        finish_run(system, run_id, "w")
    assert sql(system, "SELECT state, summary->>'frames_missing' FROM run") == [("failed", "10")]
    assert exports(system, run_id) == []


def test_a_run_that_is_cancelled_while_it_is_finished_stays_cancelled(
    system: System, short_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = finishing_run(system, short_clip)
    store_stream = system.store.put_stream

    def cancelled_meanwhile(*args: object, **options: object) -> object:
        with transaction(system.engine) as connection:
            assert mark_cancelled(connection, run_id)
        return store_stream(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(system.store, "put_stream", cancelled_meanwhile)
    with capture_logs() as logs:
        finish_run(system, run_id, "w")
    assert run_of(system, run_id).state == "cancelled"
    assert [line["event"] for line in logs if line["log_level"] in {"warning", "error"}] == ["lease_lost"]
    tick(system)
    assert exports(system, run_id) != [], "it might still have been on its way"
    sql(system, HOUR_AGO)
    tick(system)
    assert exports(system, run_id) == []
    assert sql(system, "SELECT export_key FROM run") == [(None,)]


def test_the_export_of_a_done_run_stays(system: System, short_clip: Path) -> None:
    run_id = finishing_run(system, short_clip)
    finish_run(system, run_id, "w")
    sql(system, HOUR_AGO)
    tick(system)
    assert exports(system, run_id) == [export_key(run_id)]


def test_only_the_worker_that_holds_the_lease_can_fail_a_run(system: System, short_clip: Path) -> None:
    run_id = finishing_run(system, short_clip)
    with transaction(system.engine) as connection:
        lease = claim_finish(connection, run_id, "w", 30)
        assert lease is not None
        for change in (
            lambda: mark_failed(connection, replace(lease, token=run_id), "not mine"),
            lambda: set_export_key(connection, replace(lease, token=run_id), "not mine"),
        ):
            with pytest.raises(LeaseLost):
                change()
    assert sql(system, "SELECT state, reason, export_key FROM run") == [("finishing", None, None)]


def test_ended_runs_have_no_open_chunks(system: System) -> None:
    run_id = make_run(system)
    done, running = claim(system, run_id, 0), claim(system, run_id, 1)
    assert done is not None
    assert running is not None
    commit(system, done)
    with transaction(system.engine) as connection:
        mark_cancelled(connection, run_id)
    states = sql(system, "SELECT state, lease_token FROM chunk ORDER BY idx")
    assert states == [("done", None), ("cancelled", None), ("cancelled", None)]
    with pytest.raises(LeaseLost):
        commit(system, running)


def test_a_run_that_is_cancelled_while_it_is_planned_has_no_open_chunks(system: System) -> None:
    run_id = make_run(system)
    sql(system, "DELETE FROM chunk")
    sql(system, "ALTER TABLE run DISABLE TRIGGER run_state")
    sql(system, "UPDATE run SET state = 'waiting', chunks_total = NULL, chunks_pending = NULL")
    sql(system, "ALTER TABLE run ENABLE TRIGGER run_state")
    with ThreadPoolExecutor(1) as pool:
        with transaction(system.engine) as connection:
            assert plan_runs(connection, system.settings, run_of(system, run_id).video_id) == 1
            cancelled = pool.submit(cancel_run, system, run_id, team=None)
            wait_until(lambda: sql(system, "SELECT count(*) FROM pg_locks WHERE NOT granted") != [(0,)], 10)
        assert cancelled.result(10).was_open
    assert sql(system, "SELECT DISTINCT state FROM chunk") == [("cancelled",)]


def test_workers_that_all_find_the_source_gone_fail_the_run_once(system: System) -> None:
    """Its three chunks at once, over an object that never was: no deadlock, one failure, the others dropped."""
    run_id = make_run(system)
    models = ModelCache(system, Placement("cpu"))

    def detect(idx: int) -> str:
        try:
            detect_chunk(system, models, run_id, idx, f"w{idx}")
        except SourceGone:
            return "failed"
        return "dropped"

    with ThreadPoolExecutor(3) as pool:
        outcomes = sorted(pool.map(detect, range(3)))
    assert outcomes.count("failed") >= 1
    assert set(outcomes) <= {"failed", "dropped"}
    assert sql(system, "SELECT state FROM run") == [("failed",)]
    assert sql(system, "SELECT DISTINCT state FROM chunk") == [("cancelled",)]


def test_a_rejection_is_raised_and_its_log_names_the_video(system: System, short_clip: Path) -> None:
    video = upload_file(system, short_clip, "team").video
    sql(system, "UPDATE video SET sha256 = repeat('0', 64)")
    with capture_logs([merge_contextvars]) as logs, pytest.raises(VideoRejected, match="damaged"):
        ingest_video(system, video.id, "w")
    (failed,) = [line for line in logs if line["event"] == "work_failed"]
    assert (failed["kind"], failed["video"], "damaged" in failed["reason"]) == ("video", str(video.id), True)
    assert sql(system, "SELECT state FROM video") == [("rejected",)]


def test_a_violated_constraint_that_is_not_the_contents_is_an_error_that_counts(
    system: System, short_clip: Path
) -> None:
    video = upload_file(system, short_clip, "team").video
    sql(system, "ALTER TABLE video ADD CONSTRAINT no_short_video CHECK (frames > 1000)")
    with pytest.raises(IntegrityError):
        ingest_video(system, video.id, "w")
    assert sql(system, "SELECT state, errors, last_error LIKE '%no_short_video%' FROM video") == [("stored", 1, True)]


def test_after_too_many_errors_work_is_given_up_with_the_last_one(system: System, short_clip: Path) -> None:
    video = upload_file(system, short_clip, "team").video
    sql(system, "ALTER TABLE video ADD CONSTRAINT no_short_video CHECK (frames > 1000)")
    with opened(system.settings.model_copy(update={"backoff_s": 0.0, "max_errors": 2})) as impatient:
        for _ in range(2):
            with pytest.raises(IntegrityError):
                ingest_video(impatient, video.id, "w")
    ((state, reason),) = sql(system, "SELECT state, reason FROM video")
    assert state == "rejected"
    assert str(reason).startswith("could not be read after 2 tries: unexpected IntegrityError")


def test_an_upload_that_cannot_be_removed_now_is_not_said_to_be(system: System) -> None:
    with transaction(system.engine) as connection:
        insert_video(connection, "team", "v.mp4", bucket=system.store.bucket)
    sql(system, "UPDATE video SET created_at = now() - interval '8 days'")
    with opened(system.settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:1"})) as cut_off:
        with capture_logs() as logs:
            tick(cut_off)
        assert "upload_removed" not in {line["event"] for line in logs}
        assert sql(system, "SELECT count(*) FROM video") == [(1,)]
    with capture_logs() as logs:
        tick(system)
    assert "upload_removed" in {line["event"] for line in logs}


def test_a_tick_that_finds_no_postgres_leaves_the_other_sweeps_to_the_next(system: System) -> None:
    away = system.settings.model_copy(update={"database_url": SecretStr("postgresql://127.0.0.1:1/poseline")})
    with opened(away) as cut_off, capture_logs() as logs:
        tick(cut_off)
    assert [line["event"] for line in logs] == ["sweep_failed"]


def test_an_error_after_the_commit_is_not_the_works(system: System) -> None:
    run_id = make_run(system)

    def never(*_: object) -> None:
        raise AssertionError("an outcome was written though the work is committed")

    def do() -> None:
        kind = WorkKind("chunk", (SourceGone,), never, never, "", "")
        with leased_work(system, kind, lambda connection: claim_chunk(connection, run_id, 0, "w", 30)) as work:
            assert work is not None
            with work.commit():
                pass
            raise SourceGone

    with pytest.raises(SourceGone):
        do()


def test_a_chunk_that_cannot_be_given_up_holds_neither_videos_nor_runs(system: System, short_clip: Path) -> None:
    run_id = make_run(system)
    claim(system, run_id, 0)
    report_worker(system, "w", starts=True)
    sql(system, "UPDATE worker SET started_at = now() - interval '1 h', reporting_since = now() - interval '1 h'")
    sql(system, "UPDATE chunk SET expirations = 2, lease_until = now() - interval '1 s' WHERE idx = 0")
    sql(system, "UPDATE video SET frame_index = 'damaged'")
    video = upload_file(system, short_clip, "team").video
    with transaction(system.engine) as connection:
        assert claim_ingest(connection, video.id, "w", 30) is not None
    sql(system, "UPDATE video SET lease_until = now() - interval '1 s' WHERE id = :id", id=video.id)
    tick(system)
    assert sql(system, "SELECT state FROM chunk WHERE idx = 0") == [("running",)], "it was given up after all"
    assert sql(system, "SELECT expirations FROM video WHERE id = :id", id=video.id) == [(1,)]
