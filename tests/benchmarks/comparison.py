"""What comparing a new run with the current one costs beside finishing it without.

`python -m tests.benchmarks.comparison [FRAMES [PEOPLE [REPEATS]]]` starts servers of its own, finishes one run again and
again, in turn with a current run to compare it with and without, and prints medians of wall and CPU time, and by how
much memory grew at most.
"""

from __future__ import annotations

import statistics
import sys
import time
from uuid import UUID

import numpy as np

from pipeline.core.poses import FramePoses
from pipeline.services.finish import finish_run
from pipeline.services.system import System
from tests.benchmarks.scale import season_system, servers
from tests.support.harness import sql
from tests.support.long_run import _peak_bytes
from tests.support.versions import make_run, make_video

_SCENES = 64


def _scenes(people: int, drift_px: float) -> list[FramePoses]:
    """Frames of so many people all over a picture; the same each time, but for the drift."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(_SCENES):
        corners = rng.uniform(0, 1200, (people, 2))
        boxes = np.concatenate([corners, corners + 100], axis=1)
        points = corners[:, None] + rng.uniform(0, 100, (people, 17, 2)) + drift_px
        confidence = rng.uniform(0.2, 1, (people, 17, 1))
        found.append(FramePoses(np.full(people, 0.9), boxes, np.concatenate([points, confidence], axis=2)))
    return found


def _finish(system: System, run_id: UUID, against: UUID | None) -> tuple[float, float]:
    """Seconds of wall and CPU that one finish takes; everything it wrote is taken back before."""
    sql(system, "UPDATE video SET current_run_id = :run", run=against)
    sql(system, "DELETE FROM comparison")
    sql(system, "UPDATE run SET state = 'finishing', finished_at = NULL WHERE id = :run", run=run_id)
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    finish_run(system, run_id, "w")
    return time.perf_counter() - begun_s, time.process_time() - begun_cpu_s


def main(frames: int = 20_000, people: int = 2, repeats: int = 7) -> None:
    """Measure and print."""
    before, after = _scenes(people, 0.0), _scenes(people, 2.0)
    with servers() as home, season_system(home) as system:
        video_id = make_video(system, frames=frames)
        older = make_run(system, video_id, lambda number: before[number % _SCENES])
        run_id = make_run(system, video_id, lambda number: after[number % _SCENES], model="newer", finish=False)
        sql(system, "ALTER TABLE run DISABLE TRIGGER USER")
        sql(system, "ANALYZE")
        _finish(system, run_id, None)
        peak_bytes = _peak_bytes()
        alone, compared = [], []
        for _ in range(repeats):
            alone.append(_finish(system, run_id, None))
            compared.append(_finish(system, run_id, older))
        grown_mb = (_peak_bytes() - peak_bytes) / 1e6
    for name, at in (("wall", 0), ("CPU", 1)):
        without, whole = (statistics.median(each[at] for each in times) for times in (alone, compared))
        more = statistics.median(b[at] - a[at] for a, b in zip(alone, compared, strict=True))
        print(  # noqa: T201
            f"{name:4} {1e6 * without / frames:6.1f} us a frame alone, {1e6 * whole / frames:6.1f} compared: "
            f"{1e6 * more / frames:+.1f} us a frame ({more / without:+.0%}), {frames / more:,.0f} frames/s"
        )
    print(f"memory grew by {grown_mb:.0f} MB")  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
