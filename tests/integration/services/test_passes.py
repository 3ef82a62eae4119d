"""Passes of schedules: one for each slot, within its window and budget, in order, over nights that a clock brings."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from redis import Redis

from pipeline.core.selection import Selection
from pipeline.db.chunks import claim_chunk
from pipeline.db.engine import transaction
from pipeline.db.held_runs import hold_runs, lock_open_runs
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.queue import CONTROL
from pipeline.services.pass_list import list_passes
from pipeline.services.passes import advance_passes
from pipeline.services.queue_report import get_queue
from pipeline.services.request import request_run
from pipeline.services.runs import get_run
from pipeline.services.schedules import ScheduleOptions, add_schedule, edit_schedule, remove_schedule, set_enabled
from pipeline.services.system import System
from tests.integration.services.test_dispatch import add_worker
from tests.support.harness import sql, wait_until
from tests.support.nights import Clock, analyse, with_clock
from tests.support.season import fill_videos

NIGHTLY = ScheduleOptions(cron="0 22 * * *", timezone="UTC", window_s=8 * 3600, model=BUNDLED_MODEL)


@pytest.fixture
def clock() -> Clock:
    return Clock("2027-03-01T12:00")


@pytest.fixture
def night(system: System, clock: Clock) -> System:
    """A system by the moved clock, with a worker of one slot."""
    add_worker(system, 1)
    return with_clock(system, clock)


def options(**changes: object) -> ScheduleOptions:
    return ScheduleOptions(**{**NIGHTLY.__dict__, **changes})  # type: ignore[arg-type]


def passes(system: System) -> list[tuple[str, str | None, int, int]]:
    """Name, ending, runs done and frames of each pass, the oldest first."""
    return [
        (each.one.name, each.one.ended, each.counts["done"], each.counts["frames"])
        for each in reversed(list_passes(system))
    ]


def night_run(system: System) -> UUID:
    """The first run that waits for the next night."""
    [(run_id,)] = sql(system, "SELECT id FROM run WHERE held ORDER BY due_at LIMIT 1")
    return UUID(str(run_id))


def states(system: System) -> dict[object, object]:
    return dict(sql(system, "SELECT CASE WHEN held THEN 'held' ELSE state END, count(*) FROM run GROUP BY 1"))


def test_a_schedule_analyses_every_video_once_and_ends(night: System, clock: Clock) -> None:
    fill_videos(night, videos=5, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    advance_passes(night)
    assert passes(night) == [], "its slot has not come"
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    assert states(night) == {"queued": 5}
    assert sql(night, "SELECT DISTINCT lane FROM run") == [("reprocess",)]
    assert analyse(night) == 10
    advance_passes(night)
    assert passes(night) == [("nightly 2027-03-01 22:00", "all done", 5, 300)]
    clock.move_to("2027-03-02T22:00")
    advance_passes(night)
    assert passes(night)[1:] == [("nightly 2027-03-02 22:00", "all done", 0, 0)]
    assert states(night) == {"done": 5}


def test_what_the_window_cuts_off_goes_on_the_next_night_in_order(night: System, clock: Clock) -> None:
    fill_videos(night, videos=3, frames=120)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    assert analyse(night, 5) == 5
    clock.move_to("2027-03-02T06:00")
    advance_passes(night)
    assert passes(night) == [("nightly 2027-03-01 22:00", "window closed", 1, 150)]
    assert states(night) == {"done": 1, "held": 2}
    assert analyse(night) == 0, "nothing is sent by day"
    told = get_run(night, night_run(night), team=None).blocking_reason
    assert told is not None
    assert told.startswith("it waits for the next pass of the schedule nightly, at 2027-03-02 ")
    assert {run.done_in_s for run in get_queue(night).runs} == {None}
    assert sql(night, "SELECT count(*) FROM chunk WHERE state = 'queued'") == [(0,)]
    clock.move_to("2027-03-02T22:00")
    advance_passes(night)
    analyse(night, 3)
    assert sql(night, "SELECT name FROM run JOIN video ON video.id = video_id WHERE run.state = 'done' "
        "ORDER BY run.finished_at") == [("match-1.mp4",), ("match-2.mp4",)]  # fmt: skip
    analyse(night)
    advance_passes(night)
    assert passes(night)[1:] == [("nightly 2027-03-02 22:00", "all done", 2, 210)]


def test_a_chunk_in_hand_ends_after_the_window(night: System, clock: Clock) -> None:
    fill_videos(night, videos=1, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    analyse(night, 1)
    sql(night, "UPDATE chunk SET state = 'running' WHERE state IN ('ready', 'queued')")
    clock.move_to("2027-03-02T06:00")
    advance_passes(night)
    assert sql(night, "SELECT state FROM chunk ORDER BY idx") == [("done",), ("running",)]


def test_a_chunk_is_begun_before_its_pass_counts_or_not_at_all(night: System, clock: Clock) -> None:
    fill_videos(night, videos=1, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    [(run_id, pass_id)] = sql(night, "SELECT id, pass_id FROM run WHERE pass_id IS NOT NULL")
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as pool:

        def claim() -> object:
            with transaction(night.engine) as connection:
                return claim_chunk(connection, run_id, 0, "worker", 60)

        with transaction(night.engine) as closing:
            lock_open_runs(closing, pass_id)
            claimed = pool.submit(claim)
            wait_until(lambda: sql(night, waits) == [(1,)], 20)
            hold_runs(closing, pass_id)
        assert claimed.result(20) is None
    assert sql(night, "SELECT state, attempts, lease_token FROM chunk WHERE idx = 0") == [("ready", 0, None)]
    assert sql(night, "SELECT held FROM run WHERE pass_id IS NOT NULL") == [(True,)]
    # A message that comes late has its chunk wait, too.
    sql(night, "UPDATE chunk SET state = 'queued', queued_at = now() WHERE idx = 0")
    assert claim() is None
    assert sql(night, "SELECT state, queued_at FROM chunk WHERE idx = 0") == [("ready", None)]


@pytest.mark.parametrize("budget", [{"budget_frames": 150}, {"budget_video_s": 5.0}])
def test_a_night_keeps_to_its_budget(night: System, clock: Clock, budget: dict[str, float]) -> None:
    """Videos of 120 frames in chunks of 30, at 30 frames a second: a night has one and a quarter."""
    fill_videos(night, videos=3, frames=120)
    add_schedule(night, "nightly", options(**budget))
    for day in (1, 2, 3):
        clock.move_to(f"2027-03-0{day}T22:00")
        advance_passes(night)
        analyse(night)
        advance_passes(night)
    assert [(ended, frames) for _, ended, _, frames in passes(night)] == [
        ("budget used up", 150),
        ("budget used up", 150),
        ("all done", 60),
    ]
    assert states(night) == {"done": 3}


def test_a_budget_below_a_chunk_is_a_chunk_a_night(night: System, clock: Clock) -> None:
    fill_videos(night, videos=1, frames=60)
    add_schedule(night, "nightly", options(budget_frames=10))
    for day in (1, 2):
        clock.move_to(f"2027-03-0{day}T22:00")
        advance_passes(night)
        analyse(night)
        advance_passes(night)
    assert [(ended, frames) for _, ended, _, frames in passes(night)] == [("budget used up", 30), ("all done", 30)]


def test_one_schedule_that_is_none_keeps_no_other_from_its_slot(night: System, clock: Clock) -> None:
    fill_videos(night, videos=1, frames=60)
    for name in ("a", "b", "c"):
        add_schedule(night, name, NIGHTLY)
    sql(night, "UPDATE schedule SET timezone = 'Mars/Base' WHERE name = 'b'")
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    assert sorted(name[0] for name, *_ in passes(night)) == ["a", "c"]


def test_flower_shows_a_pass_by_its_name(night: System, clock: Clock) -> None:
    fill_videos(night, videos=1, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    clock.move_to("2027-03-02T06:00")
    advance_passes(night)
    clock.move_to("2027-03-03T07:00")
    advance_passes(night)
    [(pass_id,), (missed_id,)] = sql(night, "SELECT id FROM pass ORDER BY slot_at")
    with Redis.from_url(night.settings.broker_url.get_secret_value()) as redis:
        messages = [json.loads(each) for each in redis.lrange(f"poseline:{CONTROL}", 0, -1)]
    tasks = [(each["headers"]["task"], json.loads(base64.b64decode(each["body"]))[0]) for each in reversed(messages)]
    name = "nightly 2027-03-01 22:00"
    assert tasks == [
        ("poseline.pass", [name, str(pass_id), "opened"]),
        ("poseline.pass", [name, str(pass_id), "window closed"]),
        ("poseline.pass", ["nightly 2027-03-02 22:00", str(missed_id), "missed"]),
    ]


def test_two_beats_at_once_make_one_pass(night: System, clock: Clock) -> None:
    fill_videos(night, videos=4, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-01T22:00")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: advance_passes(night), range(8)))
    advance_passes(night)
    assert [name for name, *_ in passes(night)] == ["nightly 2027-03-01 22:00"]
    assert states(night) == {"queued": 4}


def test_what_was_missed_is_caught_up_once(night: System, clock: Clock) -> None:
    """A machine that slept for three nights wakes in the fourth."""
    fill_videos(night, videos=1, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-05T01:00")
    advance_passes(night)
    assert [name for name, *_ in passes(night)] == ["nightly 2027-03-04 22:00"]
    assert sql(night, "SELECT slots_missed, closes_at::text FROM pass") == [(3, "2027-03-05 06:00:00+00")]
    assert states(night) == {"queued": 1}


def test_a_window_that_was_slept_through_is_noted_and_not_begun_by_day(night: System, clock: Clock) -> None:
    fill_videos(night, videos=1, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-02T07:00")
    advance_passes(night)
    assert passes(night) == [("nightly 2027-03-01 22:00", "missed", 0, 0)]
    assert states(night) == {}
    clock.move_to("2027-03-02T22:00")
    advance_passes(night)
    assert states(night) == {"queued": 1}


def test_without_a_window_a_pass_goes_on_until_the_next_slot(night: System, clock: Clock) -> None:
    fill_videos(night, videos=2, frames=60)
    add_schedule(night, "nightly", options(window_s=0))
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    analyse(night, 1)
    clock.move_to("2027-03-02T21:59")
    advance_passes(night)
    assert [ended for _, ended, *_ in passes(night)] == [None]
    clock.move_to("2027-03-02T22:00")
    advance_passes(night)
    analyse(night)
    advance_passes(night)
    assert [(ended, frames) for _, ended, _, frames in passes(night)] == [("next slot", 30), ("all done", 90)]


def test_a_disabled_schedule_stops_and_goes_on_where_it_was(night: System, clock: Clock) -> None:
    fill_videos(night, videos=2, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    analyse(night, 1)
    set_enabled(night, "nightly", False, team=None)
    clock.move_to("2027-03-04T23:00")
    advance_passes(night)
    assert passes(night) == [("nightly 2027-03-01 22:00", "stopped", 0, 30)]
    assert analyse(night) == 0
    set_enabled(night, "nightly", True, team=None)
    advance_passes(night)
    assert len(passes(night)) == 1, "nothing is caught up"
    clock.move_to("2027-03-05T22:00")
    advance_passes(night)
    assert analyse(night) == 3


def test_another_model_starts_anew(night: System, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_videos(night, videos=2, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    analyse(night, 1)
    sql(night, "UPDATE schedule SET model_fingerprint = 'f'")
    _, cancelled = edit_schedule(night, "nightly", ScheduleOptions(model=BUNDLED_MODEL), team=None)
    assert cancelled == 2
    assert states(night) == {"cancelled": 2}


def test_removed_it_leaves_nothing_that_waits_for_ever(night: System, clock: Clock) -> None:
    fill_videos(night, videos=2, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    analyse(night, 3)
    assert remove_schedule(night, "nightly", team=None) == 1
    assert states(night) == {"done": 1, "cancelled": 1}
    assert [ended for _, ended, *_ in passes(night)] == ["stopped"]


def test_who_asks_for_a_video_does_not_wait_for_the_night(night: System, clock: Clock) -> None:
    fill_videos(night, videos=1, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    clock.move_to("2027-03-02T06:00")
    advance_passes(night)
    assert states(night) == {"held": 1}
    [(video_id,)] = sql(night, "SELECT id FROM video")
    assert request_run(night, video_id, BUNDLED_MODEL).existed  # type: ignore[arg-type]
    assert sql(night, "SELECT lane, held FROM run") == [("fresh", False)]
    assert analyse(night) == 2


def test_a_video_whose_run_failed_is_not_tried_every_night(night: System, clock: Clock) -> None:
    fill_videos(night, videos=2, frames=60)
    add_schedule(night, "nightly", NIGHTLY)
    clock.move_to("2027-03-01T22:00")
    advance_passes(night)
    sql(night, "UPDATE run SET state = 'failed', reason = 'x' WHERE id = (SELECT id FROM run LIMIT 1)")
    analyse(night)
    clock.move_to("2027-03-02T22:00")
    advance_passes(night)
    assert states(night) == {"done": 1, "failed": 1}


def test_more_videos_than_a_pass_takes_at_once(night: System, clock: Clock) -> None:
    fill_videos(night, videos=100, frames=12)
    add_schedule(night, "nightly", options(selection=Selection.parse(["name!=match-7.mp4"])))
    clock.move_to("2027-03-01T22:00")
    for _ in range(8):
        advance_passes(night)
        assert sql(night, "SELECT count(*) <= 32 FROM run WHERE state IN ('queued', 'running')") == [(True,)]
        analyse(night)
    assert passes(night) == [("nightly 2027-03-01 22:00", "all done", 99, 1188)]
