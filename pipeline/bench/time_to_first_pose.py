"""The time from a complete upload until its first poses can be read in SQL, on an idle stack."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from pipeline.bench.context import Context
from pipeline.bench.figures import BenchFailed, Figure, level_figure
from pipeline.bench.workers import Workers, open_workers, submit
from pipeline.core.progress import Silent
from pipeline.db.engine import transaction
from pipeline.db.run_ends import mark_cancelled

_POLL_S = 0.01
_TIMEOUT_S = 120.0
_IDLE_CORES = 0.1
_FIRST_POSE = text("SELECT 1 FROM pose WHERE run_id = :run LIMIT 1")


def measure_first_pose(context: Context) -> list[Figure]:
    """Measure from the last byte of the upload."""
    clip, rounds = context.clip(context.size.clip_s), context.size.first_pose_rounds
    engine = context.cpu_engine
    waits_s = []
    with open_workers(context.stack, engine, context.source, slots=context.cores) as workers:
        for number in range(rounds):
            context.on_step(f"time to the first poses, {number + 1} of {rounds}")
            _wait_idle(workers)
            waits_s.append(_first_pose_s(workers, clip))
    return [level_figure("first_pose", f"complete upload to first poses in SQL, {engine.title}", "s", waits_s)]


class _LastByte(Silent):
    """Notes when the last bytes of an upload were sent."""

    at_s = 0.0

    def advance(self, _: int = 1, /) -> None:
        self.at_s = time.monotonic()


def _first_pose_s(workers: Workers, clip: Path) -> float:
    sent = _LastByte()
    run = submit(workers, clip, sent)
    while not _has_pose(workers, run.id):
        for worker in workers.each:
            worker.check()
        if time.monotonic() - sent.at_s > _TIMEOUT_S:
            raise BenchFailed(f"no poses came in {_TIMEOUT_S:g} s; is there a person in the clip?")
        time.sleep(_POLL_S)
    wait_s = time.monotonic() - sent.at_s
    with transaction(workers.stack.system.engine) as connection:  # so that the workers drop the rest of the run
        mark_cancelled(connection, run.id)
    return wait_s


def _has_pose(workers: Workers, run_id: UUID) -> bool:
    with transaction(workers.stack.system.engine) as connection:
        return connection.execute(_FIRST_POSE, {"run": run_id}).first() is not None


def _wait_idle(workers: Workers) -> None:
    """Wait until the workers have dropped the round before."""
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        before = workers.cpu_s()
        time.sleep(1.0)
        after = workers.cpu_s()
        if sum(after[kind] - before[kind] for kind in ("worker", "decoder")) < _IDLE_CORES:
            return
    raise BenchFailed("the workers did not become idle")
