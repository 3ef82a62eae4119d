"""Two hundred cameras that ask at once, again and again: nobody who is in is hurt, and memory is flat."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import psutil

from pipeline.core.live_protocol import Codec
from pipeline.core.live_results import Fate
from pipeline.local.ports import choose
from pipeline.services.system import System
from tests.support.analysis import put_oracle
from tests.support.harness import processes, sql, wait_until
from tests.support.keys import make_key
from tests.support.live import ORACLE, H264Camera, JpegCamera, LiveClient, hello, live_client, live_process, number_of
from tests.support.web import make_team

ASKING, ROUNDS = 200, 10


def test_two_hundred_at_once_hurt_nobody_who_is_in(system: System, tmp_path: Path) -> None:
    put_oracle(system.settings.models_path)
    port = choose([])
    with (
        processes(system.settings, tmp_path / "logs") as running,
        live_process(running, system, settings=None, **ORACLE) as live,
    ):
        web = running.start("web", "--port", str(port), POSELINE_LIVE_SESSIONS_PER_TEAM="1000")
        door = (
            f"http://127.0.0.1:{port}",
            make_team(system, "ours"),
            {"Authorization": f"Bearer {make_key(system, 'ours')}"},
        )
        wait_until(lambda: listens(web.pid, port), 30)
        memory = [psutil.Process(process.pid).memory_info for process in (live, web)]

        async def ask(number: int) -> LiveClient:
            async with live_client(*door, open_timeout=60) as client:
                await client.begin(hello(Codec.H264 if number % 2 else Codec.JPEG))
                if client.ready:
                    camera = H264Camera() if number % 2 else JpegCamera()
                    await client.send_all(camera, range(1, 11))
                    await client.bye()
                else:
                    await client.until(lambda: client.closed, 60)
                return client

        async def use() -> tuple[LiveClient, int, list[int], list[list[int]]]:
            sizes, let_in = [], []
            async with live_client(*door) as inside:
                await inside.begin(hello())
                film = asyncio.create_task(inside.stream(JpegCamera(), (1 + n % 60_000 for n in range(10**6)), fps=15))
                await inside.until(lambda: len(inside.results) >= 100, 60)
                before = max(inside.results)
                for _ in range(ROUNDS):
                    others = await asyncio.gather(*(ask(number) for number in range(ASKING)))
                    assert all(client.ready or client.refused for client in others)
                    for client in others:
                        assert client.fates()["failed"] == 0
                        for id_, result in client.results.items():
                            assert result.fate is not Fate.ANALYSED or number_of(result) == id_
                    let_in.append(sum(1 for client in others if client.ready))
                    sizes.append([each().rss for each in memory])
                film.cancel()
                await asyncio.wait([film])
                await inside.answered()
                await inside.bye()
                return inside, before, let_in, sizes

        begun_s = time.monotonic()
        inside, before, let_in, sizes = asyncio.run(use())
        analysed = [result for result in inside.results.values() if result.fate is Fate.ANALYSED]
        alone, beside = (
            np.percentile(
                [r.sent_at_ms - r.received_at_ms for r in analysed if (r.id <= before) is is_before], (50, 95)
            )
            for is_before in (True, False)
        )
        print(  # noqa: T201  for whoever runs it
            f"{ROUNDS} x {ASKING} in {time.monotonic() - begun_s:.0f} s; who is in, median and p95 in the process: "
            f"before {alone[0]:.0f} and {alone[1]:.0f} ms, meanwhile {beside[0]:.0f} and {beside[1]:.0f} ms; "
            f"let in {let_in}; MiB {[[part >> 20 for part in size] for size in sizes]}"
        )
        assert beside[0] < system.settings.live_budget_ms
        assert inside.summary is not None
        assert inside.fates().items() <= inside.summary.items()
        assert inside.summary["failed"] == 0
        assert inside.closed == (1000, "the client ended it")
        # Garbage is collected every few rounds: what is left then is what counts.
        first, last = (np.min(half, axis=0) for half in (sizes[: ROUNDS // 2], sizes[ROUNDS // 2 :]))
        assert (last - first < 20 * 2**20).all()
        open_ = "SELECT count(*) FROM live_session WHERE ended_at IS NULL"
        assert wait_until(lambda: sql(system, open_) == [(0,)], 30)


def listens(pid: int, port: int) -> bool:
    """Whether a process listens there."""
    return any(c.laddr.port == port for c in psutil.Process(pid).net_connections("tcp") if c.status == "LISTEN")
