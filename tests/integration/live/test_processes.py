"""Live processes that stop, die, or are not there: what their clients are told, and where these go next."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipeline.cli.local_stack import live_line
from pipeline.core.live_protocol import Mode
from pipeline.db.live_processes import LiveProcessRow
from pipeline.services.live.processes import list_processes
from pipeline.services.system import System
from tests.support.analysis import MODEL, put_oracle
from tests.support.harness import processes, sql, wait_until
from tests.support.keys import make_key
from tests.support.live import ORACLE, JpegCamera, LiveClient, hello, live_client, live_process
from tests.support.web import make_team, served

PATIENT = {**ORACLE, "POSELINE_LIVE_BUDGET_MS": "60000"}
OPEN = "SELECT process FROM live_session WHERE ended_at IS NULL"


@asynccontextmanager
async def filming(system: System, origin: str) -> AsyncIterator[LiveClient]:
    """A client that has said hello, and had results if it was let in."""
    door = origin, make_team(system, "ours"), {"Authorization": f"Bearer {make_key(system, 'ours')}"}
    async with live_client(*door) as client:
        await client.begin(hello())
        if client.ready:
            await client.send_all(JpegCamera(), range(1, 6))
            await client.answered()
        yield client


def loaded(system: System) -> list[LiveProcessRow]:
    """The processes that have their model."""
    return [row for row in list_processes(system) if row.call_ms]


def test_a_process_loads_its_model_for_its_first_session_and_says_goodbye(system: System, tmp_path: Path) -> None:
    """After it there is none, and nobody is let in."""
    put_oracle(system.settings.models_path)

    async def use(origin: str) -> None:
        [before] = list_processes(system)
        assert (before.call_ms, before.room, before.sessions) == (0, Mode.FULL, 0)
        assert live_line(before).endswith(f"no session so far, for the first of which it loads {MODEL}")
        async with filming(system, origin) as client:
            [now] = await asyncio.to_thread(wait_until, lambda: loaded(system), 10)
            assert now.call_ms > 0
            assert now.device == client.ready["device"]
            assert now.started_at == before.started_at
            process.send_signal(signal.SIGTERM)
            await client.until(lambda: client.closed)
            reason = "this live process stops; connect again"
            loads = "the server loads its model, which takes some seconds"
            assert client.closed == (1012, reason)
            assert client.texts == [{"type": "starting", "reason": loads}, {"type": "ended", "reason": reason}]
            assert client.fates()["failed"] == 0
        assert await asyncio.to_thread(process.wait, 20) == 0
        counts = "SELECT reason, (counts ->> 'received')::int FROM live_session"
        assert sql(system, counts) == [(reason, 5)]
        assert list_processes(system) == []
        async with filming(system, origin) as client:
            await client.until(lambda: client.closed)
            assert client.refused is not None
            assert client.refused["reason"].startswith("no live process runs;")
            assert client.refused["offer"] == "preview"
        await asyncio.to_thread(wait_until, lambda: sql(system, OPEN) == [], 10)

    with (
        processes(system.settings, tmp_path / "logs") as running,
        served(system) as origin,
        live_process(running, system, "--lazy", "--json", **PATIENT) as process,
    ):
        asyncio.run(use(origin))
        assert re.search(r'^{"name": "live-[0-9a-f]{6}@\S+", "url": "ws://127\.0\.0\.1:\d+"}$', running.output(), re.M)


@pytest.mark.soak
def test_sessions_of_a_process_that_is_killed_go_to_another(system: System, tmp_path: Path) -> None:
    put_oracle(system.settings.models_path)

    async def use(origin: str) -> None:
        async with filming(system, origin) as client:
            [(name,)] = sql(system, OPEN)
            by_name[str(name).partition("@")[0]].kill()
            await client.until(lambda: client.closed)
            assert client.closed == (1012, "the live process ended; connect again")
            assert client.kinds() == ["ended"]
        ended = "SELECT reason FROM live_session WHERE ended_at IS NOT NULL"
        await asyncio.to_thread(wait_until, lambda: sql(system, ended) == [("the live process ended",)], 10)
        # Its report is still fresh: it is asked, found to be gone, and the other one takes the session.
        async with filming(system, origin) as client:
            assert client.fates()["failed"] == 0
            [(other,)] = sql(system, OPEN)
            assert other != name
            assert len(list_processes(system)) == 2
            await client.bye()

    with (
        processes(system.settings, tmp_path / "logs") as running,
        served(system) as origin,
        live_process(running, system, "--name", "one", **PATIENT) as one,
        live_process(running, system, "--name", "two", **PATIENT) as two,
    ):
        by_name = {"one": one, "two": two}
        asyncio.run(use(origin))


@pytest.mark.soak
def test_a_session_that_one_process_refuses_begins_in_another(system: System, tmp_path: Path) -> None:
    put_oracle(system.settings.models_path)

    async def use(origin: str) -> None:
        async with filming(system, origin) as first:
            assert first.ready
            [(full,)] = sql(system, OPEN)
            # The full one is asked first: its report, which comes every two seconds, says that it has room.
            sql(
                system,
                "UPDATE live_process SET room = 'full', foretold_ms = CASE WHEN name = :full THEN 0 ELSE 1000 END",
                full=full,
            )
            async with filming(system, origin) as second:
                assert second.ready
                assert second.fates()["analysed"] > 0
                assert {name for (name,) in sql(system, OPEN)} == {row.name for row in list_processes(system)}
        await asyncio.to_thread(wait_until, lambda: sql(system, OPEN) == [], 10)

    tiny = {**ORACLE, "POSELINE_LIVE_BUDGET_MS": "0.001"}
    with (
        processes(system.settings, tmp_path / "logs") as running,
        served(system) as origin,
        live_process(running, system, "--name", "one", **tiny),
        live_process(running, system, "--name", "two", **tiny),
    ):
        asyncio.run(use(origin))


def test_a_model_that_cannot_be_loaded_is_told_in_one_line(system: System, tmp_path: Path) -> None:
    async def use(origin: str) -> LiveClient:
        async with filming(system, origin) as client:
            await client.until(lambda: client.closed)
            return client

    put_oracle(system.settings.models_path)
    with (
        processes(system.settings, tmp_path / "logs") as running,
        served(system) as origin,
        live_process(running, system, "--lazy", **PATIENT),
    ):
        for weights in system.settings.models_path.rglob("*.onnx"):
            weights.write_bytes(b"no weights")
        for client in (asyncio.run(use(origin)), asyncio.run(use(origin))):
            assert client.kinds() == ["starting"]
            assert client.refused is not None
            assert client.refused["reason"].startswith("the server's model cannot be loaded: ")
            assert (client.refused["offer"], client.closed and client.closed[0]) == ("preview", 4003)
        assert running.count("live_model_not_loaded") == 1  # the second one did not try it again at once
