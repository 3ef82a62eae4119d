"""Live processes that stop, die, or have no room: what their clients are told, and where these go next."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

import pipeline.db.live_processes
from pipeline.services.live.processes import list_processes
from pipeline.services.system import System
from tests.support.analysis import put_oracle
from tests.support.harness import processes, sql, wait_until
from tests.support.keys import make_key
from tests.support.live import ORACLE, JpegCamera, hello, live_client, live_process
from tests.support.web import make_team, served


def test_sessions_go_to_a_process_that_is_there(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_oracle(system.settings.models_path)
    team, key = make_team(system, "ours"), make_key(system, "ours")
    patient = {**ORACLE, "POSELINE_LIVE_BUDGET_MS": "60000"}

    async def begin(origin: str) -> Any:
        client = live_client(origin, team, {"Authorization": f"Bearer {key}"})
        return client, await (await client.__aenter__()).begin(hello())

    async def use(origin: str, first: Any, second: Any) -> None:
        by_name = {"first": first, "second": second}
        # The one with fewer sessions is asked first, and one whose report is old is still found to be gone.
        context, client = await begin(origin)
        await client.send_all(JpegCamera(), range(1, 6))
        await client.answered()
        [(name,)] = sql(system, "SELECT process FROM live_session WHERE ended_at IS NULL")
        by_name[str(name).partition("@")[0]].kill()
        await client.until(lambda: client.closed)
        assert client.closed == (1012, "the live process ended; connect again")
        assert client.kinds() == ["ended"]
        await context.__aexit__(None, None, None)
        query = "SELECT reason FROM live_session WHERE ended_at IS NOT NULL"
        await asyncio.to_thread(wait_until, lambda: sql(system, query) == [("the live process ended",)], 10)

        context, client = await begin(origin)
        assert client.ready
        [(other,)] = sql(system, "SELECT process FROM live_session WHERE ended_at IS NULL")
        assert other != name
        await client.send_all(JpegCamera(), range(1, 6))
        await client.answered()
        left = by_name[str(other).partition("@")[0]]
        left.send_signal(signal.SIGTERM)
        await client.until(lambda: client.closed)
        assert client.closed == (1012, "this live process stops; connect again")
        assert client.fates()["failed"] == 0
        await context.__aexit__(None, None, None)
        assert await asyncio.to_thread(left.wait, 20) == 0
        query = "SELECT (counts ->> 'analysed')::int > 0 FROM live_session WHERE reason LIKE '%stops%'"
        assert sql(system, query) == [(True,)]
        assert [row.name for row in list_processes(system) if row.name == other] == []

        monkeypatch.setattr(pipeline.db.live_processes, "ALIVE_S", 0.0)
        context, client = await begin(origin)
        await client.until(lambda: client.closed)
        assert client.refused is not None
        assert client.refused["reason"].startswith("no live process runs;")
        assert client.refused["offer"] == "preview"
        await context.__aexit__(None, None, None)

    with processes(system.settings, tmp_path / "logs") as running, served(system) as origin:
        one = live_process(running, system, "--name", "first", **patient)
        two = live_process(running, system, "--name", "second", **patient)
        first, second = one.__enter__(), two.__enter__()
        asyncio.run(use(origin, first, second))
