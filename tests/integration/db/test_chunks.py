"""Claim, lease, commit: whoever holds the token owns the chunk, and nobody else can write its frames."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import Connection, text

from pipeline.core.chunk_plan import plan_chunks
from pipeline.core.frame_index import FrameIndex
from pipeline.core.objects import StoredObject
from pipeline.core.poses import FramePoses
from pipeline.core.states import RunState
from pipeline.db import chunks, fair_queue, models, run_ends, runs, uploads, videos
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, FrameSpool, copy_frames, encode_frames, iter_frame_rows
from pipeline.db.leases import release, renew_lease
from pipeline.errors import LeaseLost
from pipeline.services.cancel import cancel_run
from pipeline.services.frame_removal import remove_frames
from pipeline.services.reconcile import tick
from pipeline.services.system import System
from tests.support.harness import report_worker, run_of, sql, wait_until

FRAMES, PER_CHUNK = 30, 10


def index_of(frames: int) -> FrameIndex:
    return FrameIndex(
        Fraction(1, 30),
        np.arange(frames) * 2 - 6,
        np.arange(frames) % 5 == 0,
        np.full(frames, -1),
        np.ones(frames, int),
    )


def make_run(system: System, team: str = "team", frames: int = FRAMES) -> UUID:
    """A run with its chunks, over a video that nobody has to read."""
    with transaction(system.engine) as connection:
        video_id, key = uploads.insert_video(connection, team, "v.mp4", bucket="b")
        uploads.mark_stored(connection, video_id, StoredObject("b", key, 1, '"e"'))
        lease = videos.claim_ingest(connection, video_id, "w", 9)
        assert lease is not None
        found = videos.IndexedVideo(uuid4().hex, "mov", "h264", 4, 4, 0, index_of(frames))
        videos.mark_ready(connection, lease, found)
        models.ensure_model(connection, "f", "m", {"keypoint_names": ["nose"], "skeleton": []})
        run_id, _ = runs.insert_run(connection, video_id, "f")
        plans = plan_chunks(found.index, PER_CHUNK)
        runs.queue_run(connection, run_id, plans, len(found.index))
    return run_id


def claim(system: System, run_id: UUID, idx: int, worker: str = "w", lease_s: float = 30) -> chunks.ClaimedChunk | None:
    with transaction(system.engine) as connection:
        return chunks.claim_chunk(connection, run_id, idx, worker, lease_s)


def queue(connection: Connection, window: int) -> list[fair_queue.QueuedChunk]:
    queued = fair_queue.queue_ready_chunks(connection, window)
    assert queued is not None
    return queued


def rows_for(claimed: chunks.ClaimedChunk, score: float = 0.5) -> list[FrameRow]:
    pts = index_of(FRAMES).pts
    one = FramePoses(*(np.full(shape, score, np.float32) for shape in ((2,), (2, 4), (2, 17, 3))))
    return [
        FrameRow(no, int(pts[no]), one if no % 2 else FramePoses.empty())
        for no in range(claimed.plan.first_frame, claimed.plan.first_frame + claimed.plan.frames)
    ]


def encoded(claimed: chunks.ClaimedChunk, rows: list[FrameRow]) -> Iterator[bytes]:
    return encode_frames(claimed.run_id, claimed.plan.idx, rows)


def commit(system: System, claimed: chunks.ClaimedChunk, score: float = 0.5) -> bool:
    with transaction(system.engine) as connection:
        return chunks.commit_chunk(connection, claimed, encoded(claimed, rows_for(claimed, score)))


def test_frames_come_back_as_they_went_in(system: System) -> None:
    run_id = make_run(system)
    written = []
    for idx in range(3):
        claimed = claim(system, run_id, idx)
        assert claimed is not None
        written += rows_for(claimed)
        assert commit(system, claimed) is (idx == 2)
    read = list(iter_frame_rows(system.engine, run_id))
    assert [(row.frame, row.pts, row.missing) for row in read] == [(r.frame, r.pts, r.missing) for r in written]
    for got, want in zip(read, written, strict=True):
        for column in ("scores", "boxes_xyxy", "keypoints"):
            assert np.array_equal(getattr(got.poses, column), getattr(want.poses, column))
    assert run_of(system, run_id).state is RunState.FINISHING
    assert sql(system, "SELECT count(*), count(DISTINCT person), max(cardinality(keypoints_xyc)) FROM pose") == [
        (30, 2, 51)
    ]


def test_frames_of_every_shape_come_back(system: System) -> None:
    run_id, rng = make_run(system, frames=200), np.random.default_rng(0)
    shapes = [(0, 0), (1, 17), (3, 17), (30, 133), (1, 1), (2, 0)]

    def poses(people: int, points: int) -> FramePoses:
        return FramePoses(rng.random(people), rng.random((people, 4)), rng.random((people, points, 3)))

    written = [
        FrameRow(no, 2**40 - no, FramePoses.empty(), f"damaged: “{no}”") if no % 7 == 3
        else FrameRow(no, -no, poses(*shapes[no % len(shapes)]))
        for no in range(200)
    ]  # fmt: skip
    with FrameSpool(run_id, 0, system.settings.scratch_path) as spool, transaction(system.engine) as connection:
        for row in written:
            spool.add(row)
        copy_frames(connection, spool.pieces())
    read = list(iter_frame_rows(system.engine, run_id))
    assert [(row.frame, row.pts, row.missing) for row in read] == [(r.frame, r.pts, r.missing) for r in written]
    for got, want in zip(read, written, strict=True):
        assert len(got.poses) == len(want.poses)
        for column in ("scores", "boxes_xyxy", "keypoints"):
            assert np.array_equal(getattr(got.poses, column), getattr(want.poses, column)) or not len(want.poses)
    assert sql(system, "SELECT DISTINCT chunk_idx FROM frame") == [(0,)]


def test_frames_go_with_their_run_though_a_chunk_is_just_ending(system: System) -> None:
    run_id, other = make_run(system), make_run(system, "other")
    for each in (run_id, other):
        claimed = claim(system, each, 0)
        assert claimed is not None
        commit(system, claimed)
    late = claim(system, run_id, 1)
    too_late = claim(system, run_id, 2)
    assert late is not None
    assert too_late is not None
    with ThreadPoolExecutor(1) as pool:
        with transaction(system.engine) as connection:
            chunks.commit_chunk(connection, late, encoded(late, rows_for(late)))
            deleted = pool.submit(sql, system, f"DELETE FROM run WHERE id = '{run_id}'")
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            wait_until(lambda: sql(system, waits) != [(0,)], 10)
        deleted.result(10)
    with pytest.raises(LeaseLost):
        commit(system, too_late)
    assert sql(system, "SELECT DISTINCT run_id FROM frame WHERE run_id NOT IN (SELECT run_id FROM frame_removal)") == [
        (other,)
    ]
    remove_frames(system)
    assert sql(system, "SELECT DISTINCT run_id FROM frame") == [(other,)]
    assert sql(system, "SELECT 1 FROM frame_removal") == []


def test_a_chunk_is_claimed_once(system: System) -> None:
    run_id = make_run(system)
    assert claim(system, run_id, 0) is not None
    assert claim(system, run_id, 0, "other") is None
    assert claim(system, uuid4(), 0) is None


def test_a_run_is_queued_until_its_first_chunk_is_claimed(system: System) -> None:
    run_id = make_run(system)
    assert sql(system, "SELECT state, started_at FROM run") == [("queued", None)]
    with transaction(system.engine) as connection:
        assert queue(connection, 9) == [(run_id, idx, False) for idx in range(3)]
    assert run_of(system, run_id).state is RunState.QUEUED, "a message that waits is no work"
    assert claim(system, run_id, 1) is not None
    before = run_of(system, run_id)
    assert before.state is RunState.RUNNING
    assert sql(system, "SELECT run.started_at <= chunk.started_at + interval '1 s' FROM run, chunk WHERE idx = 1") == [
        (True,)
    ]
    assert claim(system, run_id, 0) is not None
    assert run_of(system, run_id).started_at == before.started_at


def test_only_the_first_claim_locks_its_run(system: System) -> None:
    run_id = make_run(system)
    first = claim(system, run_id, 0)
    assert first is not None
    with transaction(system.engine) as connection:
        connection.execute(text("SELECT FROM run FOR UPDATE"))
        assert claim(system, run_id, 1) is not None, "a later claim waited for the run"


def test_two_first_claims_at_once_begin_one_run(system: System) -> None:
    run_id = make_run(system)
    with ThreadPoolExecutor(1) as pool:
        with transaction(system.engine) as connection:
            assert chunks.claim_chunk(connection, run_id, 0, "one", 30) is not None
            second = pool.submit(claim, system, run_id, 1, "two")
            wait_until(lambda: sql(system, "SELECT count(*) FROM pg_locks WHERE NOT granted") != [(0,)], 10)
        assert second.result(10) is not None
    assert run_of(system, run_id).state is RunState.RUNNING


def test_a_queued_run_can_be_cancelled_while_its_first_chunk_is_claimed(system: System) -> None:
    run_id = make_run(system)
    with ThreadPoolExecutor(1) as pool:
        with transaction(system.engine) as connection:
            claimed = chunks.claim_chunk(connection, run_id, 2, "w", 30)
            assert claimed is not None
            cancelled = pool.submit(cancel_run, system, run_id, team=None)
            wait_until(lambda: sql(system, "SELECT count(*) FROM pg_locks WHERE NOT granted") != [(0,)], 10)
        assert cancelled.result(10).was_open
    with pytest.raises(LeaseLost):
        commit(system, claimed)
    assert run_of(system, run_id).state is RunState.CANCELLED
    other = make_run(system, "other")
    assert cancel_run(system, other, team=None).was_open
    assert claim(system, other, 0) is None
    assert sql(system, "SELECT DISTINCT state FROM chunk") == [("cancelled",)]


def test_a_zombie_cannot_commit(system: System) -> None:
    run_id = make_run(system)
    zombie = claim(system, run_id, 0, lease_s=0.05)
    assert zombie is not None

    def taken_back() -> bool:
        tick(system)
        return sql(system, "SELECT deaths, expirations FROM chunk WHERE idx = 0") == [(1, 0)]

    wait_until(taken_back, 10)
    heir = wait_until(lambda: claim(system, run_id, 0, "heir"), 10)
    with pytest.raises(LeaseLost):
        commit(system, zombie, score=0.1)
    with pytest.raises(LeaseLost), transaction(system.engine) as connection:
        renew_lease(connection, zombie.lease, 30)
    assert sql(system, "SELECT count(*) FROM frame") == [(0,)]
    commit(system, heir, score=0.9)
    with pytest.raises(LeaseLost):
        commit(system, zombie, score=0.1)
    assert sql(system, "SELECT DISTINCT unnest(scores) FROM frame") == [(pytest.approx(0.9),)]
    assert sql(system, "SELECT chunks_pending FROM run") == [(2,)]


def test_a_commit_that_breaks_off_leaves_nothing(system: System) -> None:
    run_id = make_run(system)
    claimed = claim(system, run_id, 1)
    assert claimed is not None
    rows = rows_for(claimed)
    with system.engine.connect() as connection:
        chunks.commit_chunk(connection, claimed, encoded(claimed, rows))
        assert connection.execute(text("SELECT count(*) FROM frame")).scalar_one() == len(rows)
        # The connection goes without a commit, as in a power cut.
    assert sql(system, "SELECT count(*) FROM frame") == [(0,)]
    assert sql(system, "SELECT chunks_pending, state FROM run") == [(3, "running")]
    assert commit(system, claimed) is False


def test_no_commit_after_the_run_was_ended(system: System) -> None:
    run_id = make_run(system)
    claimed = claim(system, run_id, 0)
    assert claimed is not None
    with transaction(system.engine) as connection:
        assert run_ends.mark_cancelled(connection, run_id)
        assert not run_ends.mark_cancelled(connection, run_id)
    with pytest.raises(LeaseLost):
        commit(system, claimed)
    assert claim(system, run_id, 1) is None
    assert sql(system, "SELECT count(*) FROM frame") == [(0,)]


def test_failures_pause_longer_each_time_and_shutdowns_do_not_count(system: System) -> None:
    run_id = make_run(system)
    for expected in (0, 1):
        claimed = claim(system, run_id, 0)
        assert claimed is not None
        with transaction(system.engine) as connection:
            if expected == 0:
                release(connection, claimed.lease)
            else:
                assert release(connection, claimed.lease, error="it broke", backoff_s=60) == 1
        assert sql(system, "SELECT attempts, errors FROM chunk WHERE idx = 0") == [(expected, expected)]
    assert claim(system, run_id, 0) is None, "a chunk in back-off was given out"
    assert sql(system, "SELECT last_error, not_before > now() + interval '50 s' FROM chunk WHERE idx = 0") == [
        ("it broke", True)
    ]


def test_an_outage_is_waited_for_in_pauses_of_less_than_a_minute_and_of_different_lengths(system: System) -> None:
    run_id = make_run(system)
    sql(system, "UPDATE chunk SET attempts = 20")
    for idx in range(2):
        claimed = claim(system, run_id, idx)
        assert claimed is not None
        with transaction(system.engine) as connection:
            assert release(connection, claimed.lease, error="no store", backoff_s=2, counts="outage") == 0
    pauses = [
        float(str(pause))
        for (pause,) in sql(
            system, "SELECT EXTRACT(epoch FROM not_before - clock_timestamp()) FROM chunk WHERE idx < 2"
        )
    ]
    assert all(25 < pause < 40 for pause in pauses), pauses
    assert abs(pauses[0] - pauses[1]) > 0.001


def test_the_window_is_small_and_fair_between_teams(system: System) -> None:
    season = make_run(system, "academy", frames=1000)
    match = make_run(system, "first team", frames=30)
    with transaction(system.engine) as connection:
        picked = queue(connection, 6)
    assert len(picked) == 6
    assert [one.run_id for one in picked].count(match) == 3, "a small team waits behind a season"
    with transaction(system.engine) as connection:
        assert queue(connection, 6) == []
    sql(system, "UPDATE team SET weight = 3 WHERE name = 'academy'")
    with transaction(system.engine) as connection:
        assert queue(connection, 10) == [(season, idx, False) for idx in range(3, 7)]


def test_a_wrong_counter_is_put_right(system: System) -> None:
    run_id = make_run(system)
    for idx in range(3):
        claimed = claim(system, run_id, idx)
        assert claimed is not None
        if idx == 2:
            sql(system, "UPDATE run SET chunks_pending = 7")
        assert commit(system, claimed) is False
    tick(system)
    assert sql(system, "SELECT chunks_pending, state FROM run") == [(0, "finishing")]


def test_a_chunk_that_hangs_its_workers_is_given_up_with_its_frames_named(system: System) -> None:
    run_id = make_run(system)
    report_worker(system, "w", starts=True)
    for expirations in range(1, system.settings.max_expirations + 1):
        wait_until(lambda: claim(system, run_id, 0), 10)
        sql(system, "UPDATE chunk SET lease_until = clock_timestamp() WHERE lease_token IS NOT NULL")
        sql(system, "UPDATE worker SET started_at = now() - interval '1 h', reporting_since = now() - interval '1 h'")

        def counted(expirations: int = expirations) -> bool:
            report_worker(system, "w")
            tick(system)
            state = "quarantined" if expirations == system.settings.max_expirations else "ready"
            return sql(system, "SELECT 1 FROM chunk WHERE idx = 0 AND state IN (:s, 'queued')", s=state) != []

        wait_until(counted, 10)
    assert sql(system, "SELECT state, reason FROM chunk WHERE idx = 0") == [
        (
            "quarantined",
            "3 attempts on this part of the video hung, or died when it was tried alone; the last one: its worker hung",
        )
    ]
    assert sql(system, "SELECT count(*), count(missing), sum(people) FROM frame") == [(10, 10, 0)]
    assert sql(system, "SELECT chunks_pending FROM run") == [(2,)]
