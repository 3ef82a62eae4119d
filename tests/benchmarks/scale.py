"""What one dispatch, claim, commit and tick cost with ten open runs and with ten thousand.

`python -m tests.benchmarks.scale [RUNS]` starts servers of its own, fills two databases and measures both in turn, so
that whatever else the machine does slows both alike.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import numpy as np
import psycopg

from pipeline.core.poses import FramePoses
from pipeline.db.chunks import ClaimedChunk, claim_chunk, commit_chunk
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, encode_frames
from pipeline.db.migrate import upgrade
from pipeline.local import stack
from pipeline.services.dispatch import dispatch
from pipeline.services.reconcile import tick
from pipeline.services.system import System
from tests.conftest import _on_database, admin_url, fresh_settings, load_settings, opened
from tests.support.harness import sql
from tests.support.season import fill

_PEOPLE = FramePoses(np.ones(2, np.float32), np.ones((2, 4), np.float32), np.ones((2, 1, 3), np.float32))
_REPEATS = 40
_TEMPLATE = "template_poseline"


@contextlib.contextmanager
def servers() -> Iterator[Path]:
    """Servers for one block, with a migrated database to copy; gives their home."""
    with TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        stack.up(home, only=stack.SERVERS)
        try:
            with psycopg.connect(admin_url(home), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {_TEMPLATE} OWNER poseline")  # type: ignore[arg-type]
            upgrade(_on_database(load_settings(home), _TEMPLATE))
            yield home
        finally:
            stack.down(home)


@contextlib.contextmanager
def season_system(home: Path) -> Iterator[System]:
    """A system with a database of its own on these servers."""
    with fresh_settings(home, _TEMPLATE, home / uuid4().hex) as settings, opened(settings) as system:
        yield system


class Season:
    """One filled database, and the steps of a chunk's life in it."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.taken_ms: dict[str, list[float]] = {}
        sql(
            system,
            "INSERT INTO worker (name, pid, device, provider, slots, version) VALUES ('w', 1, 'd', 'p', 8, '0')",
        )

    def step(self) -> None:
        """A dispatch that has a chunk to send, a claim, a commit and a tick, each timed."""
        sql(self.system, "UPDATE worker SET seen_at = clock_timestamp()")
        self._timed("dispatch", lambda: dispatch(self.system))
        run_id, idx = sql(self.system, "SELECT run_id, idx FROM chunk WHERE state = 'queued' LIMIT 1")[0]
        claimed = self._timed("claim", lambda: self._claim(UUID(str(run_id)), int(str(idx))))
        self._timed("commit", lambda: self._commit(claimed))
        self._timed("tick", lambda: tick(self.system))
        sql(
            self.system,
            "UPDATE chunk SET state = 'ready', queued_at = NULL WHERE state = 'queued' AND (run_id, idx) "
            "IN (SELECT run_id, idx FROM chunk WHERE state = 'queued' LIMIT 1)",
        )

    def _timed(self, name: str, call: Callable[[], ClaimedChunk]) -> ClaimedChunk:
        begun_at = time.perf_counter()
        result = call()
        self.taken_ms.setdefault(name, []).append(1000 * (time.perf_counter() - begun_at))
        return result

    def _claim(self, run_id: UUID, idx: int) -> ClaimedChunk:
        with transaction(self.system.engine) as connection:
            claimed = claim_chunk(connection, run_id, idx, "w", 3600)
        assert claimed is not None
        return claimed

    def _commit(self, claimed: ClaimedChunk) -> None:
        first, frames = claimed.plan.first_frame, claimed.plan.frames
        rows = [FrameRow(number, number, _PEOPLE) for number in range(first, first + frames)]
        with transaction(self.system.engine) as connection:
            commit_chunk(connection, claimed, encode_frames(claimed.run_id, claimed.plan.idx, rows))


def main(many: int = 10_000) -> None:
    """Measure, and print medians and their ratio."""
    with servers() as home, contextlib.ExitStack() as open_until_end:
        seasons = []
        for runs in (10, many):
            system = open_until_end.enter_context(season_system(home))
            fill(system, runs=runs)
            seasons.append(Season(system))
        for _ in range(_REPEATS):
            for season in seasons:
                season.step()
    few, lots = seasons
    print(f"{'':10} {10:>10} {many:>10}   ratio")  # noqa: T201
    for step, few_ms in few.taken_ms.items():
        a, b = statistics.median(few_ms[3:]), statistics.median(lots.taken_ms[step][3:])
        print(f"{step:10} {a:>7.1f} ms {b:>7.1f} ms   {b / a:.2f}")  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
