"""Messages that are hostile, doubled, out of order, or of another version; beats that are two, or none for long."""

from __future__ import annotations

import signal
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery
from redis import Redis

from pipeline.queue import CONTROL, DETECT, FRAMES, build_celery
from pipeline.services.cancel import cancel_run
from pipeline.services.ingest import ingest_video
from pipeline.services.reconcile import tick
from pipeline.services.request import request_run
from pipeline.services.upload import register_object
from tests.acceptance.faults.rig import Rig
from tests.acceptance.faults.standard_checks import standard_checks
from tests.support.analysis import MODEL, analyse
from tests.support.harness import ask, run_of, sql, wait_until
from tests.support.hostile_messages import UNREADABLE
from tests.support.video_maker import make_video


def send_hostile(app: Celery, redis: Redis) -> None:
    """What no Poseline of this version sends: a task and arguments of another one, and bytes that are no message."""
    app.send_task("poseline.of_a_later_version", args=("x",), queue=CONTROL)
    app.send_task(DETECT, args=("not a uuid", 0), queue=FRAMES)
    app.send_task(DETECT, args=(str(uuid4()), 0, "of a later version"), queue=FRAMES)
    app.send_task(DETECT, args=(str(uuid4()), -(2**70)), queue=FRAMES)
    for queue in (CONTROL, FRAMES):
        redis.lpush(f"poseline:{queue}", *UNREADABLE.values())


def test_hostile_messages_and_those_of_another_version(rig: Rig) -> None:
    """Each is dropped, with one line in the log; the worker lives, and the run's own messages arrive."""
    app = build_celery(rig.settings)
    with Redis.from_url(rig.settings.broker_url.get_secret_value()) as redis:
        send_hostile(app, redis)
        app.close()
        rig.beat()
        worker = rig.worker()
        rig.ask()
        rig.hit()
        rig.check("hostile messages")
    assert worker.returncode == 0
    for words in ("unregistered task", "badly formed hexadecimal UUID", "positional arguments but 3 were given"):
        assert rig.said(words), words
    assert rig.running.count("message_dropped") == 2 * len(UNREADABLE)


def test_two_beats_are_as_good_as_one(rig: Rig) -> None:
    for _ in range(2):
        rig.beat()
    rig.worker(slots=2, slow=0.01)
    rig.ask()
    rig.check("two beats")
    assert sql(rig.system, "SELECT max(attempts), sum(errors), sum(expirations) FROM chunk") == [(1, 0, 0)]


def test_a_beat_that_stood_still_does_not_make_up_for_it(rig: Rig) -> None:
    """Six ticks are missed; one is sent when it goes on, and one when the next is due."""
    beat = rig.beat()
    wait_until(lambda: rig.system.queue.waiting(CONTROL) > 0, 60, "a tick")
    beat.send_signal(signal.SIGSTOP)
    with Redis.from_url(rig.settings.broker_url.get_secret_value()) as redis:
        redis.delete(f"poseline:{CONTROL}")
        begun = sql(rig.system, "SELECT clock_timestamp()")[0][0]
        passed = "SELECT clock_timestamp() - CAST(:begun AS timestamptz) > interval '3 s'"
        wait_until(lambda: sql(rig.system, passed, begun=begun) == [(True,)], 20, "six ticks' time")
        beat.send_signal(signal.SIGCONT)
        wait_until(lambda: rig.system.queue.waiting(CONTROL) > 0, 20, "a tick")
        assert rig.system.queue.waiting(CONTROL) <= 2
    rig.worker()
    rig.ask()
    rig.check("beat stopped")


def test_an_object_told_of_never_twice_and_out_of_order(rig: Rig, tmp_path: Path) -> None:
    """Of each version of an object there is one video and one run, however often and late it was told of."""
    system = rig.system
    key = f"matches/{uuid4()}.mp4"
    url = f"s3://{system.store.bucket}/{key}"
    system.store.put_file(make_video(tmp_path / "first.mp4", 20), key)
    first = {register_object(system, url, "team").video.id for _ in range(3)}
    system.store.put_file(make_video(tmp_path / "second.mp4", 30, numbers=range(100, 130)), key)
    second = {register_object(system, url, "team").video.id for _ in range(2)}
    assert (len(first), len(second), len(first | second)) == (1, 1, 2)
    with Redis.from_url(rig.settings.broker_url.get_secret_value()) as redis:
        redis.flushdb()  # every message is lost
    runs = [request_run(system, video, MODEL).run_id for video in (*second, *first, *second, *first)]
    assert len(set(runs)) == 2
    rig.run_id = runs[0]
    rig.beat()
    rig.worker()
    wait_until(lambda: {run_of(system, each).state for each in runs} == {"done", "failed"}, 60, "the end of both")
    rig.stop()
    assert (run_of(system, runs[0]).state, run_of(system, runs[1]).state) == ("done", "failed")
    assert "changed since it was" in str(run_of(system, runs[1]).reason) or "changed" in str(
        run_of(system, runs[1]).reason
    )
    standard_checks(system, tmp_path)


STATES = ("waiting", "queued", "running", "finishing", "done")


@pytest.mark.parametrize("state", STATES)
def test_cancelled_in_every_state(rig: Rig, state: str) -> None:
    """Nothing is committed after it; a run that is done stays done."""
    system = rig.system
    if state == "waiting":
        run_id = ask(system, rig.clip, model=MODEL)
    elif state == "queued":
        run_id = ask(system, rig.clip, model=MODEL)
        ingest_video(system, run_of(system, run_id).video_id, "w")
    else:
        run_id = analyse(
            system, rig.clip, put=False, chunks=(0,) if state == "running" else None, finish=state == "done"
        )
    assert run_of(system, run_id).state == state
    before = sql(system, "SELECT count(*) FROM frame")
    assert cancel_run(system, run_id, team=None).was_open is (state != "done")
    tick(system)
    if state == "waiting":
        ingest_video(system, run_of(system, run_id).video_id, "w")
    tick(system)
    assert run_of(system, run_id).state == ("done" if state == "done" else "cancelled")
    assert sql(system, "SELECT count(*) FROM frame") == before
    standard_checks(system, rig.folder, messages=False)


def test_cancelled_while_a_worker_is_at_it(rig: Rig) -> None:
    """It stops within a heartbeat, commits nothing, and takes the next run."""
    rig.beat()
    rig.worker(slow=0.2)
    run_id = rig.ask()
    rig.mid_chunk()
    rig.hit()
    assert cancel_run(rig.system, run_id, team=None).was_open
    wait_until(lambda: rig.said("lease_lost"), 10, "the worker to notice")
    assert sql(rig.system, "SELECT count(*) FROM frame") == [(0,)]
    rig.ask("another team")
    rig.mid_chunk()
    rig.kill(rig._workers[0])
    rig.worker()
    rig.check("cancelled at work")
    assert sql(rig.system, "SELECT count(*) FROM frame WHERE run_id = :id", id=run_id) == [(0,)]
