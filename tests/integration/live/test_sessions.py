"""Live sessions from a client through `poseline web` to a real live process, whose model reads painted numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pipeline.core.live_protocol import Codec
from pipeline.core.live_results import Fate
from pipeline.services.system import System
from tests.support.analysis import put_oracle
from tests.support.harness import processes, sql, wait_until
from tests.support.keys import make_key
from tests.support.live import ORACLE, H264Camera, JpegCamera, hello, live_client, live_process, number_of
from tests.support.web import make_team, served


@pytest.fixture
def door(system: System, tmp_path: Path) -> Iterator[tuple[str, UUID, dict[str, str]]]:
    """A web process with a live process behind it: origin, team and headers of a coach's key."""
    put_oracle(system.settings.models_path)
    with (
        processes(system.settings, tmp_path / "logs") as running,
        served(system) as origin,
        live_process(running, system, **ORACLE),
    ):
        team = make_team(system, "ours")
        yield origin, team, {"Authorization": f"Bearer {make_key(system, 'ours')}"}


def test_each_frame_has_its_own_result(system: System, door: tuple[str, UUID, dict[str, str]]) -> None:
    async def use() -> dict[str, Any]:
        async with live_client(*door) as client:
            await client.begin(hello())
            assert client.ready["credits"] == 2
            assert len(client.ready["keypoints"]) == 17
            await client.send_all(JpegCamera(), range(1, 41))
            summary = await client.bye()
            assert client.fates().items() <= summary.items()
            assert all(number_of(r) == id_ for id_, r in client.results.items() if r.fate is Fate.ANALYSED)
            assert client.closed == (1000, "the client ended it")
            return summary

    summary = asyncio.run(use())
    assert summary["received"] == 40
    assert summary["analysed"] > 20
    ended = "SELECT reason, counts FROM live_session WHERE counts IS NOT NULL"
    [(reason, counts)] = wait_until(lambda: sql(system, ended), 10)
    assert reason == "the client ended it"
    assert counts == {**without_type(summary), "captured": 40, "dropped": 0, "sent": 40}


def test_video_is_decoded_as_it_comes(system: System, door: tuple[str, UUID, dict[str, str]]) -> None:
    async def use() -> None:
        async with live_client(*door) as client:
            await client.begin(hello(Codec.H264))
            await client.stream(H264Camera(), range(1, 61))
            summary = await client.bye()
            assert client.fates().items() <= summary.items()
            assert all(number_of(r) == id_ for id_, r in client.results.items() if r.fate is Fate.ANALYSED)

    asyncio.run(use())


def without_type(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "type"}
