"""What other work on the machine costs a live session, with and without its giving way; not in `make test`.

Run it on a quiet machine: `pytest tests/benchmarks/test_beside_live.py -s`. It prints what the server took for a frame,
from its arrival to its answer, with a model that takes next to no time: the rest is what it waits for the processor.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.live_results import Fate
from pipeline.services.system import System
from pipeline.services.upload import upload_file
from tests.conftest import fresh_settings, opened
from tests.support.analysis import put_oracle
from tests.support.harness import Processes, ask, kill, processes, sql, wait_until
from tests.support.keys import make_key
from tests.support.live import ORACLE, JpegCamera, hello, live_client, live_process
from tests.support.video_maker import make_video
from tests.support.web import make_team, served

ROUNDS, MEASURE_S, FPS = int(os.environ.get("ROUNDS", "3")), 8.0, 15.0
FRAMES, COPIES = 600, 24
PATIENT = {**ORACLE, "POSELINE_LIVE_BUDGET_MS": "60000"}
READS = "SELECT count(*) FROM video WHERE state = 'ready'"
POSES = "SELECT coalesce(sum(frames_done), 0) FROM chunk"


@pytest.fixture
def system(servers: Path, template: str, tmp_path: Path) -> Iterator[System]:
    """A system of its own."""
    with fresh_settings(servers, template, tmp_path / "home") as settings, opened(settings) as system:
        yield system


@pytest.mark.timeout(1200)
def test_a_live_session_beside_other_work(system: System, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", FRAMES, width=1280, height=720, gop=30)
    put_oracle(system.settings.models_path)
    with (
        processes(system.settings, tmp_path / "logs") as running,
        served(system) as web,
        live_process(running, system, **PATIENT),
    ):
        door = web, make_team(system, "ours"), {"Authorization": f"Bearer {make_key(system, 'ours')}"}
        for round_ in range(ROUNDS):
            print(f"{'nothing':28}", asyncio.run(film(door)), load(), flush=True)  # noqa: T201
            for yields in ("1", "0"):
                for kind in ("poses", "reading"):
                    print(  # noqa: T201
                        f"{kind + (', gives way' if yields == '1' else ''):28}",
                        beside(system, running, door, clip, kind, yields, f"{round_}{yields}"),
                        load(),
                        flush=True,
                    )


def beside(system: System, running: Processes, door: tuple, clip: Path, kind: str, yields: str, name: str) -> str:  # type: ignore[type-arg]
    """Measure while a worker does that work; says how much of it was done meanwhile."""
    for copy in range(COPIES if kind == "reading" else 1):
        other = clip.with_name(f"{kind}-{name}-{copy}.mp4")
        other.write_bytes(clip.read_bytes() + b"\0\0\0\x10free" + f"{name}{copy:04}".encode()[:8].ljust(8))
        (upload_file if kind == "reading" else ask)(system, other, "ours")
    done = READS if kind == "reading" else POSES
    before = sql(system, done)
    worker = running.worker(POSELINE_LIVE_YIELD=yields)
    try:
        wait_until(lambda: sql(system, done) != before, 120)
        began = int(str(sql(system, done)[0][0]))
        told = asyncio.run(film(door))
        return f"{told}, {int(str(sql(system, done)[0][0])) - began} {kind} done"
    finally:
        kill(worker)
        sql(system, "TRUNCATE video CASCADE")  # what is left of the work


async def film(door: tuple) -> str:  # type: ignore[type-arg]
    """Film for a while, and tell what the server took."""
    async with live_client(*door) as client:
        await client.begin(hello())
        until_s = time.monotonic() + 3
        camera = asyncio.create_task(client.stream(JpegCamera(), (1 + n % 30_000 for n in range(10**6)), fps=FPS))
        await asyncio.sleep(3)  # workers look once a second
        await asyncio.sleep(MEASURE_S)
        camera.cancel()
        await asyncio.wait([camera])
        await client.answered()
        await client.bye()
        at = [id_ for id_, sent_s in client.sent.items() if sent_s >= until_s]
        found = [client.results[id_] for id_ in at if client.results[id_].fate is Fate.ANALYSED]
        ms = [result.sent_at_ms - result.received_at_ms for result in found]
        return f"{len(ms) / MEASURE_S:5.1f} frames/s, {np.median(ms):5.0f} ms, p95 {np.percentile(ms, 95):5.0f}"


def load() -> str:
    """What the machine had to do in the last minute."""
    return f"(load {os.getloadavg()[0]:.1f})"
