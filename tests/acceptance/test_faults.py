"""Real processes, real faults: whatever dies or is lost, the run ends as an undisturbed one, finished once."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from uuid import UUID

import pytest
from redis import Redis

from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.local import stack
from pipeline.services.request import request_run
from pipeline.services.system import System
from pipeline.services.upload import register_object
from tests.support.harness import (
    Processes,
    ask,
    assert_nothing_left,
    cut,
    export_bytes,
    kill,
    processes,
    run_of,
    sql,
    wait_done,
    wait_for_run,
    wait_until,
)


def in_mid_chunk(system: System) -> bool:
    return sql(system, "SELECT 1 FROM chunk WHERE state = 'running' AND frames_done BETWEEN 3 AND frames - 3") != []


def assert_same_as_undisturbed(system: System, run_id: UUID, reference: bytes, tmp_path: Path) -> None:
    wait_done(system, run_id)
    assert export_bytes(system, run_id, tmp_path / "poses.jsonl") == reference
    assert_nothing_left(system, run_id)
    assert sql(system, "SELECT attempts FROM run") == [(1,)], "finished more than once"
    assert sql(system, "SELECT count(*) FROM video WHERE current_run_id = :id", id=run_id) == [(1,)]


def test_a_worker_killed_in_mid_chunk(system: System, short_clip: Path, reference: bytes, tmp_path: Path) -> None:
    with processes(system.settings, tmp_path) as running:
        running.beat()
        victim = running.worker("--slots", "1")
        run_id = ask(system, short_clip)
        wait_until(lambda: in_mid_chunk(system), 30, "a chunk half done")
        kill(victim)
        running.worker("--slots", "2")
        assert_same_as_undisturbed(system, run_id, reference, tmp_path)
        assert sql(system, "SELECT sum(deaths), sum(expirations), sum(errors) FROM chunk") == [(1, 0, 0)]


def test_a_worker_stopped_in_mid_chunk_hands_it_back(
    system: System, short_clip: Path, reference: bytes, tmp_path: Path
) -> None:
    with processes(system.settings, tmp_path) as running:
        running.beat()
        leaving = running.worker("--slots", "1")
        run_id = ask(system, short_clip)
        wait_until(lambda: in_mid_chunk(system), 30, "a chunk half done")
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(15) == 0
        assert sql(system, "SELECT count(*) FROM chunk WHERE state = 'running'") == [(0,)]
        assert sql(system, "SELECT count(*) FROM worker") == [(0,)]
        running.worker("--slots", "2")
        assert_same_as_undisturbed(system, run_id, reference, tmp_path)
        assert sql(system, "SELECT sum(expirations), sum(errors) FROM chunk") == [(0, 0)]


def test_redis_emptied_in_mid_run(system: System, short_clip: Path, reference: bytes, tmp_path: Path) -> None:
    with processes(system.settings, tmp_path) as running:
        running.beat()
        running.worker("--slots", "1")
        run_id = ask(system, short_clip)
        wait_until(lambda: in_mid_chunk(system), 30, "a chunk half done")
        assert sql(system, "SELECT count(*) > 0 FROM chunk WHERE state = 'queued'") == [(True,)], "nothing to lose"
        with Redis.from_url(system.settings.broker_url.get_secret_value()) as redis:
            redis.flushdb()
        assert_same_as_undisturbed(system, run_id, reference, tmp_path)


def test_redis_killed_and_restarted(
    system: System, servers: Path, short_clip: Path, reference: bytes, tmp_path: Path
) -> None:
    def redis_pid() -> int | None:
        return next(s.pid for s in stack.status(servers).services if s.name == "valkey" and s.state == "running")

    with processes(system.settings, tmp_path) as running:
        running.beat()
        worker = running.worker("--slots", "1")
        run_id = ask(system, short_clip)
        wait_until(lambda: in_mid_chunk(system), 30, "a chunk half done")
        pid = redis_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert_same_as_undisturbed(system, run_id, reference, tmp_path)
        assert redis_pid() != pid
        assert worker.poll() is None, "the worker did not survive Redis"


def test_every_chunk_message_three_times(system: System, short_clip: Path, reference: bytes, tmp_path: Path) -> None:
    def planned(running: Processes) -> list[tuple[object, ...]]:
        return sql(system, "SELECT run_id, idx FROM chunk")

    settings = system.settings.model_copy(update={"chunk_frames": 10})
    small = System(settings, system.engine, system.store, system.queue)
    with processes(settings, tmp_path) as running:
        # Ingested by a worker that takes no chunks, so that all their messages wait together.
        running.worker("--slots", "1", "--queues", "control")
        run_id = ask(small, short_clip)
        chunks = wait_until(lambda: planned(running), 30, "the plan")
        for _, idx in chunks * 3:
            assert isinstance(idx, int)
            system.queue.send_detect(run_id, idx)
        for _ in range(2):
            running.worker("--slots", "2")
        assert_same_as_undisturbed(system, run_id, reference, tmp_path)
        assert sql(system, "SELECT sum(attempts) - count(*) FROM chunk") == [(0,)], "a chunk was analysed twice"
        assert run_of(system, run_id).chunks_total == len(chunks)


@pytest.mark.parametrize(("fault", "words"), [("overwritten", "changed"), ("deleted", "gone")])
def test_a_source_that_is_not_what_it_was_fails_the_run(
    system: System, short_clip: Path, tmp_path: Path, fault: str, words: str
) -> None:
    key = f"matches/{system.settings.home.parent.name}.mp4"
    system.store.put_file(short_clip, key)
    upload = register_object(system, f"s3://{system.store.bucket}/{key}", "team")
    run_id = request_run(system, upload.video.id, BUNDLED_MODEL).run_id
    with processes(system.settings, tmp_path / "logs") as running:
        running.worker("--slots", "1", "--queues", "control")
        wait_until(lambda: sql(system, "SELECT 1 FROM video WHERE state = 'ready'"), 30, "the frame index")
        if fault == "overwritten":
            system.store.put_file(cut(short_clip, tmp_path / "other.mp4", 60), key)
        else:
            system.store.delete(key)
        running.beat()
        running.worker("--slots", "1", "--queues", "frames")
        run = wait_for_run(system, run_id)
    assert run.state == "failed"
    assert words in str(run.reason)
    assert sql(system, "SELECT count(*) FROM frame") == [(0,)], "frames of a source that is not the pinned one"
