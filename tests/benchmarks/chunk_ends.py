"""How many chunks end in a second in real worker processes, where finding poses costs nothing.

`python -m tests.benchmarks.chunk_ends [SECONDS [WORKERS [SLOTS [FRAMES]]]]` starts servers, workers and a beat of its
own on a season of a thousand runs of a hundred chunks, and prints the chunks that ended in each second, what waited in
Redis, and what each process used of the processors.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from redis import Redis

from pipeline.local import stack
from pipeline.queue import FRAMES, keys_of
from pipeline.services.system import System
from tests.acceptance.faults.rig import put_oracle
from tests.benchmarks.scale import season_system, servers
from tests.support.faulty import VARIABLE
from tests.support.harness import Processes, processes, sql, wait_until
from tests.support.season import fill


@contextlib.contextmanager
def _running(system: System, folder: Path, workers: int, slots: int) -> Iterator[Processes]:
    put_oracle(system.settings.models_path)
    with processes(system.settings, folder) as running:
        for number in range(workers):
            running.start(
                *("worker", f"--concurrency={slots}", "--queues=control,frames", f"--hostname=w{number}@%h"),
                *("--without-gossip", "--without-mingle", "--loglevel=WARNING"),
                module="tests.support.faulty",
                **{VARIABLE: json.dumps({"no_work": 2})},
            )
        running.start(
            *("beat", "--scheduler=workers.schedule:TickScheduler", "--pidfile=", "--loglevel=WARNING"),
            module="tests.support.faulty",
        )
        yield running


def _used_s(home: Path) -> dict[str, float]:
    """Seconds of processor time so far, by kind of process, of everything that was started here."""
    servers_of = {service.pid: service.name for service in stack.status(home).services if service.pid}
    every = [(psutil.Process(pid), name) for pid, name in servers_of.items()]
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            every.append((child, "beat" if "beat" in child.cmdline() else "workers"))
    used: dict[str, float] = {}
    for process, name in every:
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                used[name] = used.get(name, 0.0) + sum(each.cpu_times()[:2])
    return used


def main(seconds: int = 30, workers: int = 2, slots: int = 4, frames: int = 2) -> None:
    """Measure and print."""
    with servers() as home, season_system(home) as system:
        fill(system, runs=1000, per_chunk=frames)
        done = "SELECT count(*) FROM chunk WHERE state = 'done'"
        with _running(system, home / "logs", workers, slots):
            wait_until(lambda: int(str(sql(system, done)[0][0])) > 200, 120, "the first chunks")
            waiting: list[int] = []
            ended = [int(str(sql(system, done)[0][0]))]
            before, begun = _used_s(home), time.monotonic()
            with Redis.from_url(system.settings.broker_url.get_secret_value()) as redis:
                for second in range(1, seconds + 1):
                    while time.monotonic() - begun < second:
                        waiting.append(sum(int(redis.llen(key)) for key in keys_of(FRAMES)))  # type: ignore[arg-type]
                        time.sleep(0.02)
                    ended.append(int(str(sql(system, done)[0][0])))
            took_s, after = time.monotonic() - begun, _used_s(home)
    each = [b - a for a, b in itertools.pairwise(ended)]
    print(f"{(ended[-1] - ended[0]) / took_s:.0f} chunks a second; in single seconds {min(each)} to {max(each)}")  # noqa: T201
    print(  # noqa: T201
        f"waiting in Redis: median {statistics.median(waiting):.0f}, nothing in "
        f"{sum(not each for each in waiting)} of {len(waiting)} looks"
    )
    for kind in sorted(after):
        print(f"{kind:10} {1000 * (after[kind] - before.get(kind, 0.0)) / (ended[-1] - ended[0]):.2f} ms a chunk")  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
