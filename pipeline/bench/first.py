"""How long somebody waits who has just uploaded: until the first poses can be read in SQL, on an idle stack."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from pipeline.bench.crew import Crew, ask, open_crew
from pipeline.bench.figures import Figure, level_figure
from pipeline.bench.goals import goal_of
from pipeline.bench.ground import Ground
from pipeline.bench.measure import BenchFailed
from pipeline.core.progress import Silent
from pipeline.db.engine import transaction
from pipeline.db.run_ends import mark_cancelled

_POLL_S = 0.01
_PATIENCE_S = 120.0
_IDLE_CORES = 0.1
_FIRST_POSE = text("SELECT 1 FROM pose WHERE run_id = :run LIMIT 1")


def measure_first(ground: Ground) -> list[Figure]:
    """The wait, from the last byte of the upload on."""
    clip, rounds = ground.clip(ground.size.clip_s), ground.size.first_rounds
    engine = ground.cpu_engine
    ground.meter.begin("first", rounds)
    waits_s = []
    with open_crew(ground.site, engine, slots=ground.cores) as crew:
        for number in range(rounds):
            ground.meter.step(f"first poses, {number + 1} of {rounds}")
            _wait_idle(crew)
            waits_s.append(_first_wait_s(crew, clip))
    words = f"upload complete to the first poses in SQL, {engine.title}"
    return [level_figure("first", words, "s", waits_s, goal_of("first"))]


def _first_wait_s(crew: Crew, clip: Path) -> float:
    sent_at = time.monotonic()

    class Sending(Silent):
        def advance(self, _: int = 1, /) -> None:
            nonlocal sent_at
            sent_at = time.monotonic()

    run = ask(crew, clip, Sending())
    while not _is_there(crew, run.id):
        for worker in crew.workers:
            worker.check()
        if time.monotonic() - sent_at > _PATIENCE_S:
            raise BenchFailed(f"no poses came in {_PATIENCE_S:g} s; is there a person in the clip?")
        time.sleep(_POLL_S)
    wait_s = time.monotonic() - sent_at
    with transaction(crew.site.system.engine) as connection:  # the rest is not waited for
        mark_cancelled(connection, run.id)
    return wait_s


def _is_there(crew: Crew, run_id: UUID) -> bool:
    with transaction(crew.site.system.engine) as connection:
        return connection.execute(_FIRST_POSE, {"run": run_id}).first() is not None


def _wait_idle(crew: Crew) -> None:
    """Wait until the workers have let go of the round before."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        before = crew.cpu_s()
        time.sleep(1.0)
        after = crew.cpu_s()
        if sum(after[kind] - before[kind] for kind in ("worker", "decoder")) < _IDLE_CORES:
            return
    raise BenchFailed("the workers do not come to rest")
