"""What it costs to delete a tenth of the frames: in small batches from one table, or as partitions, by run or by month.

`python -m tests.benchmarks.deleting [MILLIONS]` starts servers of its own and fills table `frame` once for each way,
two people of 17 keypoints in every frame, 4,000 frames a run. While frames are deleted, chunks of 120 frames are
committed twenty times a second, as workers do; the time that a commit takes is compared with that before.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID, uuid4

import numpy as np
import psycopg
from sqlalchemy import make_url

from pipeline.core.poses import FramePoses
from pipeline.db.chunks import claim_chunk, commit_chunk
from pipeline.db.engine import transaction
from pipeline.db.frames import FrameRow, encode_frames
from pipeline.services.system import System
from tests.benchmarks.scale import season_system, servers
from tests.support.harness import sql
from tests.support.season import fill

RUN_FRAMES = 4000
_CHUNK_FRAMES = 120
_COMMITS_PER_S = 20
_PEOPLE = FramePoses(np.ones(2, np.float32), np.ones((2, 4), np.float32), np.ones((2, 17, 3), np.float32))
_ROWS = """
INSERT INTO frame (run_id, frame, chunk_idx, pts, people, scores, boxes, keypoints{more})
SELECT id, n, n / 120, n * 512, 2, array_fill(0.9::real, '{{2}}'), array_fill(100::real, '{{8}}'),
       array_fill(0.5::real, '{{102}}'){month}
FROM unnest(%s::uuid[]{months}) AS made (id{named}) CROSS JOIN generate_series(0, %s) AS n
"""


class Layout:
    """One way of keeping frames, in a database of its own."""

    name = "one table, batches"

    def __init__(self, system: System, runs: int) -> None:
        self.system = system
        self.runs = [uuid4() for _ in range(runs)]
        url = make_url(system.settings.database_url.get_secret_value())
        self.connection = psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)
        fill(system, runs=120, chunks=100, per_chunk=_CHUNK_FRAMES)
        sql(
            system, "INSERT INTO worker (name, pid, device, provider, slots, version) VALUES ('w', 1, 'd', 'p', 8, '0')"
        )
        self.taken: dict[str, float] = {}
        self.make()

    def make(self) -> None:
        """Make the table that frames go to."""

    def insert(self, batch: list[UUID]) -> None:
        """Insert the frames of some runs."""
        query = _ROWS.format(more="", month="", months="", named="")
        self.connection.execute(query.encode(), (batch, RUN_FRAMES - 1))

    def delete(self, run_id: UUID) -> None:
        """Delete a run's frames, each batch in a transaction of its own."""
        for first in range(0, RUN_FRAMES, self.batch):
            self.connection.execute(
                "DELETE FROM frame WHERE run_id = %s AND frame >= %s AND frame < %s",
                (run_id, first, first + self.batch),
            )

    batch = 2000

    def vacuum(self) -> None:
        """Vacuum what frames were deleted from."""
        self.connection.execute("VACUUM (ANALYZE) frame")

    def gigabytes(self) -> float:
        """What the table takes with its index."""
        found = self.connection.execute(
            "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'frame'::regclass"
        ).fetchone()
        own = self.connection.execute("SELECT pg_total_relation_size('frame')").fetchone()
        assert found is not None
        assert own is not None
        return (int(found[0] or 0) + int(own[0])) / 1e9


class ByRun(Layout):
    """A partition for each run."""

    name = "a partition for each run"

    def make(self) -> None:
        self.connection.execute("ALTER TABLE frame RENAME TO frame_before")
        self.connection.execute("CREATE TABLE frame (LIKE frame_before) PARTITION BY LIST (run_id)")
        self.connection.execute("ALTER TABLE frame ADD PRIMARY KEY (run_id, frame)")
        every = self.runs + [row[0] for row in self.connection.execute("SELECT id FROM run").fetchall()]
        begun = time.perf_counter()
        for run_id in every:
            self._partition(run_id)
        self.taken["a new partition, ms"] = 1000 * (time.perf_counter() - begun) / len(every)

    def _partition(self, run_id: UUID) -> None:
        self.connection.execute(
            f"CREATE TABLE frame_{run_id.hex} PARTITION OF frame FOR VALUES IN ('{run_id}')".encode()
        )

    def delete(self, run_id: UUID) -> None:
        self.connection.execute(f"DROP TABLE frame_{run_id.hex}".encode())

    def vacuum(self) -> None:
        pass


class ByMonth(Layout):
    """A partition for each month: all runs of a month go together, or none."""

    name = "a partition for each month"

    def make(self) -> None:
        self.connection.execute("ALTER TABLE frame RENAME TO frame_before")
        self.connection.execute(
            "CREATE TABLE frame (LIKE frame_before, month integer NOT NULL DEFAULT 0) PARTITION BY LIST (month)"
        )
        self.connection.execute("ALTER TABLE frame ADD PRIMARY KEY (run_id, frame, month)")
        for month in range(11):
            self.connection.execute(f"CREATE TABLE frame_{month} PARTITION OF frame FOR VALUES IN ({month})".encode())

    def insert(self, batch: list[UUID]) -> None:
        months = [1 + self.runs.index(each) * 10 // len(self.runs) for each in batch]
        query = _ROWS.format(more=", month", month=", month", months=", %s::int[]", named=", month")
        self.connection.execute(query.encode(), (batch, months, RUN_FRAMES - 1))

    def delete(self, run_id: UUID) -> None:
        if self.runs.index(run_id) == 0:
            self.connection.execute("DROP TABLE frame_1")

    def vacuum(self) -> None:
        pass


class Commits:
    """Chunks that are committed at a steady pace in another thread, with the time each takes."""

    def __init__(self, system: System) -> None:
        self.system, self.taken_ms, self._over = system, [], threading.Event()  # type: tuple[System, list[float], threading.Event]
        self._work = iter(sql(system, "SELECT run_id, idx FROM chunk WHERE state = 'ready' ORDER BY run_id, idx"))
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        begun = time.monotonic()
        for number, (run_id, idx) in enumerate(self._work):
            if self._over.wait(max(0.0, begun + number / _COMMITS_PER_S - time.monotonic())):
                return
            with transaction(self.system.engine) as connection:
                claimed = claim_chunk(connection, UUID(str(run_id)), int(str(idx)), "w", 3600)
            assert claimed is not None
            first, frames = claimed.plan.first_frame, claimed.plan.frames
            rows = [FrameRow(number, number, _PEOPLE) for number in range(first, first + frames)]
            pieces = list(encode_frames(claimed.run_id, claimed.plan.idx, rows))
            before = time.perf_counter()
            with transaction(self.system.engine) as connection:
                commit_chunk(connection, claimed, pieces)
            self.taken_ms.append(1000 * (time.perf_counter() - before))

    @contextlib.contextmanager
    def running(self) -> Iterator[list[float]]:
        """Commit while the block runs; gives the milliseconds that each took."""
        self.taken_ms = []
        self._over.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        try:
            yield self.taken_ms
        finally:
            self._over.set()
            self._thread.join()


def _timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _of(taken_ms: list[float]) -> str:
    ordered = sorted(taken_ms)
    p95 = ordered[int(0.95 * len(ordered))]
    return f"median {statistics.median(ordered):.1f} ms, p95 {p95:.1f}, most {ordered[-1]:.0f} (of {len(ordered)})"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def measure(layout: Layout, share: float = 0.1) -> None:
    """Fill, delete, and print what that took."""
    begun = time.perf_counter()
    for at in range(0, len(layout.runs), 25):
        layout.insert(layout.runs[at : at + 25])
    layout.vacuum()
    _say(f"\n{layout.name}: {len(layout.runs) * RUN_FRAMES:,} rows, filled in {time.perf_counter() - begun:.0f} s")
    _say(f"  size {layout.gigabytes():.2f} GB" + "".join(f"; {k} {v:.1f}" for k, v in layout.taken.items()))
    plan = layout.connection.execute(
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT frame.frame FROM run JOIN frame ON frame.run_id = run.id "
        "WHERE run.state = 'queued' AND run.video_id = %s",
        (uuid4(),),
    ).fetchone()
    assert plan is not None
    _say(f"  planning of a query by video {plan[0][0]['Planning Time']:.1f} ms")
    commits = Commits(layout.system)
    with commits.running() as before:
        time.sleep(15)
    _say(f"  commits before: {_of(before)}")
    gone = layout.runs[: int(share * len(layout.runs))]
    batches: list[float] = []
    with commits.running() as meanwhile:
        began = time.perf_counter()
        batches += [_timed(partial(layout.delete, run_id)) for run_id in gone]
        took_s = time.perf_counter() - began
        if took_s < 5:
            time.sleep(1)
    _say(f"  deleted {len(gone) * RUN_FRAMES:,} in {took_s:.1f} s: {len(gone) * RUN_FRAMES / took_s:,.0f} rows/s")
    _say(f"  commits meanwhile: {_of(meanwhile)}; each run {_of([1000 * each for each in batches])}")
    _say(f"  size after {layout.gigabytes():.2f} GB")
    with commits.running() as vacuuming:
        vacuum_s = _timed(layout.vacuum)
    _say(
        f"  vacuum {vacuum_s:.1f} s, size {layout.gigabytes():.2f} GB"
        + (f"; commits meanwhile: {_of(vacuuming)}" if len(vacuuming) > 3 else "")
    )
    layout.runs = [*layout.runs[len(gone) :], *(uuid4() for _ in gone)]
    if isinstance(layout, ByRun | ByMonth):
        return
    for at in range(len(layout.runs) - len(gone), len(layout.runs), 25):
        layout.insert(layout.runs[at : at + 25])
    _say(f"  as many inserted again: {layout.gigabytes():.2f} GB")
    begun = time.perf_counter()
    layout.connection.execute("SET statement_timeout = 0")
    with commits.running() as at_once:
        layout.connection.execute("DELETE FROM frame WHERE run_id = ANY(%s)", (layout.runs[: len(gone)],))
        took_s = time.perf_counter() - begun
    _say(f"  as many in one statement: {took_s:.1f} s; commits meanwhile: {_of(at_once)}")


def main(millions: float = 10) -> None:
    """Measure each layout in turn, in the same servers."""
    with servers() as home:
        for kind in (Layout, ByRun, ByMonth):
            with season_system(home) as system:
                layout = kind(system, int(millions * 1e6) // RUN_FRAMES)
                try:
                    measure(layout)
                finally:
                    layout.connection.close()


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
