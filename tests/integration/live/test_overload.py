"""A live process whose device becomes slow, or fails: in this process, with a model that is as slow as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

import pipeline.core.live_admission
import pipeline.live.engine
import pipeline.live.host
from pipeline.core.live_protocol import Codec
from pipeline.services.system import System
from pipeline.video import zygote_client
from tests.support.harness import sql
from tests.support.keys import make_key
from tests.support.live import H264Camera, JpegCamera, LiveClient, hello, live_client
from tests.support.slow_model import Slowed, hosted
from tests.support.web import make_team, served


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overload and head room are found within moments."""
    monkeypatch.setattr(pipeline.core.live_admission, "OVER_S", 0.3)
    monkeypatch.setattr(pipeline.core.live_admission, "HEAD_ROOM_S", 0.3)
    monkeypatch.setattr(pipeline.live.host, "_LATELY_S", 0.5)
    monkeypatch.setattr(pipeline.live.host, "_LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(pipeline.live.engine, "_NEWEST", 0.5)


Door = tuple[str, Any, dict[str, str]]


@pytest.fixture
def slowed(system: System) -> Iterator[tuple[Slowed, Door]]:
    """A model, and the way to a live process that uses it."""
    model = Slowed(system)
    with hosted(system, model), served(system) as origin:
        team = make_team(system, "ours")
        yield model, (origin, team, {"Authorization": f"Bearer {make_key(system, 'ours')}"})


def modes(client: LiveClient) -> list[str]:
    return [text["mode"] for text in client.texts if text["type"] == "mode"]


def test_overload_takes_from_the_newest_and_head_room_gives_back(hasty: None, slowed: tuple[Slowed, Door]) -> None:
    model, door = slowed

    async def use() -> None:
        async with live_client(*door) as old, live_client(*door) as new:
            await old.begin(hello())
            await new.begin(hello())
            cameras = [asyncio.create_task(each.stream(JpegCamera(), range(1, 60_000), fps=20)) for each in (old, new)]
            model.takes_s = 0.18
            await new.until(lambda: modes(new) == ["hybrid"])
            assert new.texts[-1]["every_ms"] == 500
            assert "overloaded" in new.texts[-1]["reason"]
            model.takes_s = 0.0
            await new.until(lambda: modes(new)[-1] == "full")
            assert new.texts[-1] == {
                "type": "mode", "mode": "full", "every_ms": None, "reason": "this server has room again"
            }  # fmt: skip
            for camera in cameras:
                camera.cancel()
            await asyncio.wait(cameras)
            for each in (old, new):
                await each.answered()
                summary = await each.bye()
                assert each.fates().items() <= summary.items()
                assert summary["failed"] == 0

    asyncio.run(use())


def test_who_sends_more_than_it_declared_pays_for_it_and_not_those_beside_it(
    hasty: None, slowed: tuple[Slowed, Door]
) -> None:
    model, door = slowed

    async def use() -> None:
        async with live_client(*door) as liar, live_client(*door) as honest:
            await liar.begin(hello(fps=2.0))
            await honest.begin(hello(fps=20.0))
            cameras = [
                asyncio.create_task(each.stream(JpegCamera(), range(1, 60_000), fps=20)) for each in (liar, honest)
            ]
            # What it may send in a burst goes first; it came in before the other, whom overload would take from else.
            await liar.until(lambda: liar.fates()["superseded"] > 45)
            model.takes_s = 0.18
            await liar.until(lambda: modes(liar) == ["hybrid"])
            assert modes(honest) == []
            model.takes_s = 0.0
            for camera in cameras:
                camera.cancel()
            await asyncio.wait(cameras)
            for each in (liar, honest):
                await each.answered()
                summary = await each.bye()
                assert each.fates().items() <= summary.items()
                assert summary["failed"] == 0
            fates = liar.fates()
            assert fates["analysed"] < fates["received"] / 3
            assert honest.fates()["analysed"] > 2 * fates["analysed"]

    asyncio.run(use())


def test_who_does_not_fit_is_offered_less(hasty: None, slowed: tuple[Slowed, Door]) -> None:
    model, door = slowed
    model.takes_s = 0.06

    async def use() -> None:
        async with live_client(*door) as inside, live_client(*door) as second:
            await inside.begin(hello())
            await inside.send_all(JpegCamera(), range(1, 9))
            await inside.answered()
            await second.begin(hello())
            await second.until(lambda: second.closed)
            assert second.refused is not None
            assert second.refused["offer"] in {"hybrid", "preview"}
            assert "there is no room for another session" in second.refused["reason"]
            assert second.closed is not None
            assert second.closed[0] == 4003
            await inside.bye()

    asyncio.run(use())


def test_a_decoder_that_is_killed_is_replaced_once(system: System, slowed: tuple[Slowed, Door]) -> None:
    _, door = slowed
    children = psutil.Process(zygote_client.zygote().pid).children

    async def use() -> LiveClient:
        async with live_client(*door) as client:
            camera = H264Camera()
            for round_ in range(2):
                before = {child.pid for child in children()} if not round_ else set()
                if not round_:
                    await client.begin(hello(Codec.H264))
                await client.send_all(camera, range(10 * round_ + 1, 10 * round_ + 6))
                await client.answered()
                [child] = [child for child in children() if child.pid not in before]
                child.kill()
                child_gone = 10 * round_ + 6
                await client.send_all(camera, [child_gone])
                await client.until(lambda: child_gone in client.results)  # noqa: B023
                assert "killed by SIGKILL" in client.results[child_gone].reason
            await client.until(lambda: client.closed)
            return client

    client = asyncio.run(use())
    assert client.closed is not None
    assert client.closed[0] == 4009
    assert client.closed[1].startswith("what this camera sends cannot be decoded")
    assert client.kinds() == ["keyframe", "ended"]
    fates = client.fates()
    assert (fates["received"], fates["failed"]) == (12, 2)
    assert fates["analysed"] >= 5


def test_a_device_that_fails_ends_the_process_and_its_sessions(system: System, slowed: tuple[Slowed, Door]) -> None:
    model, door = slowed

    async def use() -> LiveClient:
        async with live_client(*door) as client:
            await client.begin(hello())
            await client.send_all(JpegCamera(), range(1, 4))
            await client.answered()
            model.lost = True
            await client.send_all(JpegCamera(), [4])
            await client.until(lambda: client.closed)
            return client

    client = asyncio.run(use())
    assert client.closed == (1012, "this live process stops; connect again")
    assert client.results[4].reason == "it fell off the bus"
    assert sql(system, "SELECT count(*) FROM live_process") == [(0,)]


def test_a_measurement_of_a_busy_moment_refuses_nobody(system: System) -> None:
    model = Slowed(system)
    with hosted(system, model) as host, served(system) as origin:
        door = origin, make_team(system, "ours"), {"Authorization": f"Bearer {make_key(system, 'ours')}"}

        async def let_in() -> bool:
            async with live_client(*door) as client:
                await client.begin(hello())
                return bool(client.ready)

        host.engine.call_ms = 900.0
        assert asyncio.run(let_in())
        assert host.engine.call_ms < 200
        host.engine.call_ms, model.takes_s, host._measured_s = 900.0, 0.25, 0.0
        assert not asyncio.run(let_in())
