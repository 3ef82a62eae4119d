"""What must hold after every fault, whatever it was: one function for all of them.

Every run ended; what is exported is byte for byte what an undisturbed run gives; each frame of the video once; nothing
pending, finished once, no lease; no message in Redis; no child process, no temporary file, no part of an upload left.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import psutil
from redis import Redis

from pipeline.core.object_keys import export_key
from pipeline.queue import QUEUES, keys_of
from pipeline.services.system import System
from tests.support.harness import export_bytes, sql, wait_until


def standard_checks(
    system: System,
    folder: Path,
    exports: Mapping[UUID, bytes] | None = None,
    *,
    finishes: int = 1,
    messages: bool = True,
    workers: frozenset[int] = frozenset(),
) -> None:
    """Check all of it, in one database, its part of the object store and of Redis, and this machine.

    Args:
        folder: for the exports that are compared.
        exports: what each run must give; these runs must be done. Others may have failed or been cancelled.
        finishes: how often each done run was begun to be finished: more than once only where the fault hit just that.
        messages: whether Redis must be empty; not where the test has no worker that could take them.
        workers: process ids whose decoders must have ended with them.
    """
    assert sql(system, "SELECT id, state FROM run WHERE state NOT IN ('done', 'failed', 'cancelled')") == []
    assert sql(system, "SELECT id, state FROM video WHERE state NOT IN ('ready', 'rejected')") == []
    _check_counts(system)
    for table in ("video", "run", "chunk"):
        assert sql(system, f"SELECT worker, state FROM {table} WHERE lease_token IS NOT NULL") == [], f"{table} leased"
    for run_id, expected in (exports or {}).items():
        assert sql(system, "SELECT state, reason FROM run WHERE id = :id", id=run_id) == [("done", None)]
        assert export_bytes(system, run_id, folder / f"{run_id}.jsonl") == expected, "the export differs"
        stored = system.store.head(export_key(run_id))
        assert b"".join(system.store.iter_whole(stored)) == expected, "the stored export differs"
        assert sql(system, "SELECT attempts FROM run WHERE id = :id", id=run_id) == [(finishes,)], (
            "begun to be finished"
        )
    if messages:
        assert_no_message(system)
    assert_nothing_on_disk(system)
    assert open_uploads(system) == []
    wait_until(lambda: not decoders_of(workers), 10, "the decoders' end")


def _check_counts(system: System) -> None:
    """Every frame of a done run's video once; none pending; every chunk done or given up; one run current."""
    assert (
        sql(
            system,
            """
        SELECT run.id, run.chunks_pending, video.frames, count(frame), count(DISTINCT frame), min(frame), max(frame)
        FROM run JOIN video ON video.id = run.video_id LEFT JOIN frame ON frame.run_id = run.id
        WHERE run.state = 'done' GROUP BY run.id, video.frames
        HAVING run.chunks_pending <> 0 OR count(frame) <> video.frames OR count(DISTINCT frame) <> video.frames
            OR min(frame) <> 0 OR max(frame) <> video.frames - 1
        """,
        )
        == []
    ), "frames lost or doubled"
    assert (
        sql(
            system,
            "SELECT run_id, idx, chunk.state FROM chunk JOIN run ON run.id = run_id "
            "WHERE run.state = 'done' AND chunk.state NOT IN ('done', 'quarantined') "
            "OR chunk.state NOT IN ('done', 'quarantined', 'cancelled')",
        )
        == []
    ), "an open chunk of an ended run"
    assert (
        sql(
            system,
            "SELECT id FROM run WHERE state = 'done' "
            "AND NOT EXISTS (SELECT FROM video JOIN run r ON r.id = current_run_id WHERE r.video_id = run.video_id)",
        )
        == []
    ), "a done run whose video has no current run"


def assert_no_message(system: System) -> None:
    """No message waits in Redis or is held for a worker that did not acknowledge it."""
    with Redis.from_url(system.settings.broker_url.get_secret_value()) as redis:
        left = {name: sum(redis.llen(key) for key in keys_of(name)) for name in QUEUES}
        held = redis.hlen("poseline:unacked"), redis.zcard("poseline:unacked_index")
    assert not any(left.values()), left
    assert held == (0, 0), "messages that nobody acknowledged"


def assert_nothing_on_disk(system: System) -> None:
    """No scratch file; what a killed process had open has no name."""
    scratch = system.settings.scratch_path
    assert not scratch.exists() or [path.name for path in scratch.rglob("*")] == []


def open_uploads(system: System) -> list[str]:
    """The keys, of this database's teams and runs, of uploads in parts that were neither completed nor aborted."""
    ids = {str(each) for (each,) in sql(system, "SELECT id FROM team UNION SELECT id FROM run")}
    found = system.store._client.list_multipart_uploads(Bucket=system.store.bucket)
    return [each["Key"] for each in found.get("Uploads", []) if each["Key"].split("/")[1:2][0] in ids]


def decoders_of(workers: frozenset[int]) -> list[int]:
    """The zygotes and decoder children of these workers, which name the worker's process id as their last argument."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        arguments = process.info["cmdline"] or []
        if process.info["status"] == psutil.STATUS_ZOMBIE or not any("pipeline.video.zygote" in a for a in arguments):
            continue
        if arguments[-1].isdigit() and int(arguments[-1]) in workers:
            found.append(process.info["pid"])
    return found
