"""Real processes, real faults: whatever dies or is lost, the run ends as an undisturbed one, finished once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from redis import Redis

from pipeline.services.request import request_run
from pipeline.services.upload import register_object
from tests.acceptance.faults.rig import SLOW_S, Rig, pid_of
from tests.acceptance.faults.standard_checks import standard_checks
from tests.support.analysis import MODEL
from tests.support.harness import cut, sql, wait_for_run, wait_until


def test_a_worker_killed_in_mid_chunk(rig: Rig) -> None:
    rig.beat()
    victim = rig.worker(slow=SLOW_S)
    rig.ask()
    rig.mid_chunk()
    rig.kill(victim)
    rig.worker(slots=2)
    rig.check("worker killed")
    assert sql(rig.system, "SELECT sum(deaths), sum(expirations), sum(errors) FROM chunk") == [(1, 0, 0)]


def test_a_worker_stopped_in_mid_chunk_hands_it_back(rig: Rig) -> None:
    rig.beat()
    leaving = rig.worker(slow=SLOW_S)
    rig.ask()
    rig.mid_chunk()
    leaving.send_signal(signal.SIGTERM)
    rig.hit()
    assert leaving.wait(30) == 0
    assert sql(rig.system, "SELECT count(*) FROM chunk WHERE state = 'running'") == [(0,)]
    assert sql(rig.system, "SELECT count(*) FROM worker") == [(0,)]
    rig.worker(slots=2)
    rig.check("deploy")
    assert sql(rig.system, "SELECT sum(expirations), sum(errors), max(attempts) FROM chunk") == [(0, 0, 1)]


def test_redis_emptied_in_mid_run(rig: Rig) -> None:
    rig.beat()
    rig.worker(slow=SLOW_S)
    rig.ask()
    rig.mid_chunk()
    assert sql(rig.system, "SELECT count(*) > 0 FROM chunk WHERE state = 'queued'") == [(True,)], "nothing to lose"
    with Redis.from_url(rig.settings.broker_url.get_secret_value()) as redis:
        redis.flushdb()
    rig.hit()
    rig.check("redis emptied")


def test_redis_killed_and_restarted(rig: Rig, servers: Path) -> None:
    rig.beat()
    worker = rig.worker(slow=SLOW_S)
    rig.ask()
    rig.mid_chunk()
    pid = pid_of(servers, "valkey")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    rig.hit()
    wait_until(lambda: pid_of(servers, "valkey") not in {None, pid}, 60, "the new Redis")
    rig.check("redis killed")
    assert worker.returncode == 0, "the worker did not survive Redis"


def test_every_chunk_message_three_times(rig: Rig) -> None:
    # Ingested by a worker that takes no chunks, so that all their messages wait together.
    rig.worker(queues="control")
    run_id = rig.ask()
    chunks = wait_until(lambda: sql(rig.system, "SELECT idx FROM chunk"), 60, "the plan")
    for (idx,) in chunks * 3:
        rig.system.queue.send_detect(run_id, int(str(idx)))
    rig.hit()
    for _ in range(2):
        rig.worker(slots=2, queues="frames")
    rig.beat()
    rig.check("doubled")
    assert sql(rig.system, "SELECT sum(attempts) - count(*) FROM chunk") == [(0,)], "a chunk was analysed twice"


@pytest.mark.parametrize(("fault", "words"), [("overwritten", "changed"), ("deleted", "gone")])
def test_a_source_that_is_not_what_it_was_fails_the_run(rig: Rig, tmp_path: Path, fault: str, words: str) -> None:
    system = rig.system
    key = f"matches/{tmp_path.name}.mp4"
    system.store.put_file(rig.clip, key)
    upload = register_object(system, f"s3://{system.store.bucket}/{key}", "team")
    run_id = request_run(system, upload.video.id, MODEL).run_id
    rig.worker(queues="control")
    wait_until(lambda: sql(system, "SELECT 1 FROM video WHERE state = 'ready'"), 60, "the frame index")
    if fault == "overwritten":
        system.store.put_file(cut(rig.clip, tmp_path / "other.mp4", 60), key)
    else:
        system.store.delete(key)
    rig.beat()
    rig.worker(queues="frames")
    run = wait_for_run(system, run_id)
    assert run.state == "failed"
    assert words in str(run.reason)
    assert sql(system, "SELECT count(*) FROM frame") == [(0,)], "frames of a source that is not the pinned one"
    rig.stop()
    standard_checks(system, tmp_path)
