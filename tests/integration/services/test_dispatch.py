"""What is sent: a window of it, by lane, team and order, at a cost that does not grow with what waits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from sqlalchemy import event, text

from pipeline.core.objects import StoredObject
from pipeline.core.poses import FramePoses
from pipeline.db import fair_queue
from pipeline.db.chunks import commit_chunk
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, encode_frames
from pipeline.db.uploads import insert_video, mark_stored
from pipeline.queue import CONTROL, FRAMES
from pipeline.services.dispatch import dispatch, dispatch_videos, refill
from pipeline.services.reconcile import tick
from pipeline.services.system import System
from tests.conftest import opened
from tests.integration.db.test_chunks import claim, make_run
from tests.support.harness import sql
from tests.support.season import fill


def add_worker(system: System, slots: int, name: str = "w") -> None:
    # It reports this once, and must not count as gone before a test on a slow machine has ended.
    sql(
        system,
        "INSERT INTO worker (name, pid, device, provider, slots, version, seen_at) "
        "VALUES (:name, 1, 'd', 'p', :slots, '0', now() + interval '1 h')",
        name=name,
        slots=slots,
    )


def sent(system: System) -> list[tuple[str, str, int]]:
    """The chunks under way, with lane and team, in the order of their messages."""
    return [
        (str(lane), str(team), int(str(idx)))
        for lane, team, idx in sql(
            system,
            "SELECT lane, team.name, idx FROM chunk JOIN run ON run.id = run_id JOIN team ON team.id = team_id "
            "WHERE chunk.state = 'queued' ORDER BY chunk.queued_at",
        )
    ]


def end_chunk(system: System, run_id: UUID, idx: int) -> bool:
    """Claim a chunk and commit it. Returns whether its team may have one chunk under way."""
    claimed = claim(system, run_id, idx)
    assert claimed is not None
    first, frames = claimed.plan.first_frame, claimed.plan.frames
    rows = [FrameRow(number, number, FramePoses.empty()) for number in range(first, first + frames)]
    with transaction(system.engine) as connection:
        commit_chunk(connection, claimed, encode_frames(run_id, idx, rows))
    return claimed.lone


def states(system: System, run_id: UUID) -> dict[str, int]:
    rows = sql(system, "SELECT state, count(*) FROM chunk WHERE run_id = :id GROUP BY 1", id=run_id)
    return {str(state): int(str(count)) for state, count in rows}


def store(system: System, team: str, count: int) -> None:
    """Videos that wait to be ingested."""
    for number in range(count):
        with transaction(system.engine) as connection:
            video_id, key = insert_video(connection, team, f"{number}.mp4", bucket="b")
            mark_stored(connection, video_id, StoredObject("b", key, 1, '"e"'))


def test_what_waits_beyond_the_window_stays_in_postgres(system: System) -> None:
    fill(system, runs=50, chunks=40, teams=5)
    add_worker(system, 300)
    assert dispatch(system) == 375
    assert system.queue.waiting(FRAMES) == 375
    assert dispatch(system) == 0
    assert sql(system, "SELECT state, count(*) FROM chunk GROUP BY 1 ORDER BY 1") == [("queued", 375), ("ready", 1625)]


def test_reprocessing_keeps_its_share_under_a_flood_of_fresh_videos(system: System) -> None:
    fill(system, runs=3, chunks=100, teams=3)
    sql(system, "UPDATE run SET lane = 'reprocess' WHERE id = (SELECT id FROM run ORDER BY created_at LIMIT 1)")
    add_worker(system, 80)
    dispatch(system)
    assert Counter(lane for lane, _, _ in sent(system)) == {"fresh": 90, "reprocess": 10}


def test_paused_lanes_and_teams_are_passed_over(system: System) -> None:
    make_run(system, "resting", frames=1000)
    make_run(system, "playing", frames=100)
    sql(system, "UPDATE team SET paused_at = now() WHERE name = 'resting'")
    add_worker(system, 80)
    assert dispatch(system) == 10
    assert {team for _, team, _ in sent(system)} == {"playing"}
    sql(system, "UPDATE team SET paused_at = NULL")
    sql(system, "UPDATE lane SET paused_at = now() WHERE name = 'fresh'")
    assert dispatch(system) == 0
    sql(system, "UPDATE lane SET paused_at = NULL")
    assert dispatch(system) == 90


def test_a_teams_cap_holds(system: System) -> None:
    make_run(system, "capped", frames=1000)
    make_run(system, "other", frames=1000)
    sql(system, "UPDATE team SET max_slots = 3 WHERE name = 'capped'")
    add_worker(system, 10)
    dispatch(system)
    assert Counter(team for _, team, _ in sent(system)) == {"capped": 3, "other": 10}
    dispatch(system)
    assert len(sent(system)) == 13


def test_a_run_with_an_early_deadline_comes_before_older_ones_of_its_team(system: System) -> None:
    old, urgent = make_run(system, frames=100), make_run(system, frames=30)
    sql(system, "UPDATE run SET deadline = now() + interval '10 minutes' WHERE id = :id", id=urgent)
    add_worker(system, 3)
    tick(system)
    assert dict(sql(system, "SELECT run_id, count(*) FROM chunk WHERE state = 'queued' GROUP BY 1")) == {
        urgent: 3,
        old: 1,
    }


def test_a_deadline_that_is_far_away_changes_nothing_yet(system: System) -> None:
    old, later = make_run(system, frames=100), make_run(system, frames=30)
    sql(system, "UPDATE run SET deadline = now() + interval '30 days' WHERE id = :id", id=later)
    add_worker(system, 2)
    tick(system)
    assert sql(system, "SELECT DISTINCT run_id FROM chunk WHERE state = 'queued'") == [(old,)]


def test_the_end_of_a_chunk_sends_more_before_slots_are_idle(system: System) -> None:
    run_id = make_run(system, frames=200)
    add_worker(system, 2)
    dispatch(system)
    with Redis.from_url(system.settings.broker_url.get_secret_value()) as redis:
        waiting = []
        for idx in range(8):
            redis.rpop(f"poseline:{FRAMES}\x06\x169")
            assert claim(system, run_id, idx) is not None
            refill(system, "fp32")
            waiting.append(system.queue.waiting(FRAMES))
    assert waiting == [3] * 8
    with Redis.from_url(system.settings.broker_url.get_secret_value()) as redis:
        redis.hset("poseline:sent:fp32", "size", 4)
    with statements(system) as seen:
        refill(system, "fp32")
    assert seen == [], "a window that is full costs Postgres nothing"


def test_a_team_that_may_have_one_chunk_under_way_gets_the_next_when_it_ends(system: System) -> None:
    """Though the window is full, and ahead of what waits there."""
    lone = make_run(system, "lone", frames=100)
    flood = make_run(system, "flood", frames=1000)
    sql(system, "UPDATE team SET max_slots = 1 WHERE name = 'lone'")
    add_worker(system, 4)
    dispatch(system)
    assert system.queue.waiting(FRAMES) == 5
    with statements(system) as seen:
        refill(system, "fp32", lone=end_chunk(system, flood, 0))
    assert not any("pg_try_advisory_xact_lock" in statement for statement, _ in seen), "another team's chunk ended"
    refill(system, "fp32", lone=end_chunk(system, lone, 0))
    assert states(system, lone) == {"done": 1, "queued": 1, "ready": 8}
    with Redis.from_url(system.settings.broker_url.get_secret_value()) as redis:
        assert redis.llen(f"poseline:{FRAMES}") == 1


def test_an_end_that_comes_while_another_process_reads_the_queues_is_seen_by_it(system: System) -> None:
    lone = make_run(system, "lone", frames=100)
    make_run(system, "flood", frames=1000)
    sql(system, "UPDATE team SET max_slots = 1 WHERE name = 'lone'")
    add_worker(system, 4)
    dispatch(system)
    ended: list[int] = []

    def end_meanwhile(_c: object, _u: object, statement: str, *_: object) -> None:
        if "AS frames,\n       count(*) FILTER" in statement and not ended:
            ended.append(0)
            refill(other, "fp32", lone=end_chunk(other, lone, 0))
            assert states(other, lone) == {"done": 1, "ready": 9}, "the lock is not free"

    with opened(system.settings) as other:
        event.listen(system.engine, "after_cursor_execute", end_meanwhile)
        try:
            dispatch(system)
        finally:
            event.remove(system.engine, "after_cursor_execute", end_meanwhile)
    assert ended
    assert states(system, lone) == {"done": 1, "queued": 1, "ready": 8}


def test_ingest_has_its_share_while_chunks_wait_and_everything_otherwise(system: System) -> None:
    store(system, "flood", 40)
    add_worker(system, 8)
    assert dispatch_videos(system) == 18
    assert system.queue.waiting(CONTROL) == 18
    assert dispatch_videos(system) == 0
    sql(system, "DELETE FROM video")
    store(system, "flood", 40)
    make_run(system, "poses", frames=1000)
    assert dispatch(system) == 10 + 2
    assert sql(system, "SELECT count(*) FROM video WHERE state = 'stored' AND queued_at IS NOT NULL") == [(2,)]


def test_a_teams_first_video_does_not_wait_behind_anothers_thousand(system: System) -> None:
    store(system, "flood", 30)
    store(system, "small", 2)
    add_worker(system, 2)
    dispatch(system)
    assert sql(
        system,
        "SELECT team.name, count(*) FROM video JOIN team ON team.id = team_id "
        "WHERE state = 'stored' AND queued_at IS NOT NULL GROUP BY 1 ORDER BY 1",
    ) == [("flood", 3), ("small", 2)]


def test_an_ingest_message_that_is_lost_is_sent_again(system: System) -> None:
    store(system, "team", 1)
    assert dispatch(system) == 1
    with Redis.from_url(system.settings.broker_url.get_secret_value()) as redis:
        redis.flushdb()
    tick(system)
    assert system.queue.waiting(CONTROL) == 0, "too early to call it lost"
    sql(system, "UPDATE video SET queued_at = queued_at - interval '1 hour'")
    tick(system)
    assert system.queue.waiting(CONTROL) == 1


@contextmanager
def statements(system: System) -> Iterator[list[tuple[str, Any]]]:
    """The statements that the block sends to Postgres."""
    seen: list[tuple[str, Any]] = []

    def note(_c: object, _u: object, statement: str, values: Any, *_: object) -> None:
        seen.append((statement, values))

    event.listen(system.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(system.engine, "before_cursor_execute", note)


def rows_read(plan: dict[str, Any]) -> float:
    """The rows that a plan's scans touched."""
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return (own if "Relation Name" in plan else 0) + sum(map(rows_read, plan.get("Plans", ())))


@pytest.mark.parametrize("query", ["_CHUNKS_WAITING", "_CHUNKS_UNDER_WAY", "_VIDEOS_WAITING", "_VIDEOS_UNDER_WAY"])
def test_the_queues_are_read_at_their_heads(system: System, query: str) -> None:
    """Against ten times as many runs and videos a dispatch reads the same number of rows."""
    read = []
    for runs in (30, 270):
        fill(system, runs=runs, chunks=4, teams=3)
        sql(system, "UPDATE video SET state = state")
        with transaction(system.engine) as connection:
            connection.execute(text("SELECT set_config('enable_seqscan', 'off', true)"))
            statement = getattr(fair_queue, query)
            connection.execute(fair_queue._LOCK, {"key": 1})
            [[plan]] = connection.execute(
                text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}"), {"limit": 4, "precision": "fp32"}
            ).all()
        plan = plan if isinstance(plan, list) else json.loads(plan)
        read.append(rows_read(plan[0]["Plan"]))
    assert read[1] <= read[0] + 5, read


def test_a_team_with_nothing_under_way_does_not_wait_for_what_was_sent_before(system: System) -> None:
    make_run(system, "flood", frames=10_000)
    add_worker(system, 4)
    assert dispatch(system) == 5
    late = make_run(system, "late", frames=100)
    assert dispatch(system) == 2, "its part of the slots"
    with Redis.from_url(system.settings.broker_url.get_secret_value()) as redis:
        assert (redis.llen(f"poseline:{FRAMES}"), redis.llen(f"poseline:{FRAMES}\x06\x169")) == (2, 5)
    assert dispatch(system) == 0
    assert sql(system, "SELECT count(*) FROM chunk WHERE state = 'queued' AND run_id = :id", id=late) == [(2,)]


def test_reprocessing_waits_its_turn(system: System) -> None:
    make_run(system, "fresh", frames=10_000)
    add_worker(system, 4)
    dispatch(system)
    old = make_run(system, "old", frames=100)
    sql(system, "UPDATE run SET lane = 'reprocess' WHERE id = :id", id=old)
    assert dispatch(system) == 0
