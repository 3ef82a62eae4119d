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

ASKING, ROUNDS = 200, 5


def test_two_hundred_at_once_hurt_nobody_who_is_in(system: System, tmp_path: Path) -> None:
    put_oracle(system.settings.models_path)
    port = choose([])
    with (
        processes(system.settings, tmp_path / "logs") as running,
        live_process(running, system, **ORACLE) as live,
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

        async def use() -> tuple[LiveClient, list[list[int]]]:
            sizes = []
            async with live_client(*door) as inside:
                await inside.begin(hello())
                film = asyncio.create_task(inside.stream(JpegCamera(), (1 + n % 60_000 for n in range(10**6)), fps=15))
                for _ in range(ROUNDS):
                    others = await asyncio.gather(*(ask(number) for number in range(ASKING)))
                    assert all(client.ready or client.refused for client in others)
                    for client in others:
                        assert client.fates()["failed"] == 0
                        for id_, result in client.results.items():
                            assert result.fate is not Fate.ANALYSED or number_of(result) == id_
                    sizes.append([each().rss for each in memory])
                film.cancel()
                await asyncio.wait([film])
                await inside.answered()
                await inside.bye()
                return inside, sizes

        begun_s = time.monotonic()
        inside, sizes = asyncio.run(use())
        server_ms = [r.sent_at_ms - r.received_at_ms for r in inside.results.values() if r.fate is Fate.ANALYSED]
        middle_ms, p95_ms = np.percentile(server_ms, (50, 95))
        print(  # noqa: T201  for whoever runs it
            f"{ROUNDS} x {ASKING} in {time.monotonic() - begun_s:.0f} s; who is in: {len(server_ms)} frames, median "
            f"{middle_ms:.0f} ms, p95 {p95_ms:.0f} ms; MiB {[[part >> 20 for part in size] for size in sizes]}"
        )
        assert inside.summary is not None
        assert inside.fates().items() <= inside.summary.items()
        assert inside.summary["failed"] == 0
        assert inside.closed == (1000, "the client ended it")
        for first, last in zip(sizes[0], sizes[-1], strict=True):
            assert last - first < 40 * 2**20
        open_ = "SELECT count(*) FROM live_session WHERE ended_at IS NULL"
        assert wait_until(lambda: sql(system, open_) == [(0,)], 30)


def listens(pid: int, port: int) -> bool:
    """Whether a process listens there."""
    return any(c.laddr.port == port for c in psutil.Process(pid).net_connections("tcp") if c.status == "LISTEN")
