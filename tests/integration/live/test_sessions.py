"""Live sessions from a client through `poseline web` to a real live process, whose model reads painted numbers."""

from __future__ import annotations

import asyncio
import re
import shlex
import socket
from typing import Any
from uuid import UUID

from pipeline.core.live_protocol import Codec, Mode, to_text
from pipeline.core.live_results import Fate
from pipeline.services.system import System
from tests.integration.live.conftest import IDLE_S, Place
from tests.support.harness import sql, wait_until
from tests.support.live import H264Camera, JpegCamera, LiveClient, hello, live_client, number_of
from tests.support.paths import ROOT


def noted(system: System, session: str) -> tuple[str, dict[str, int]]:
    """Why a session ended, and its counts, once its process has noted them."""
    query = "SELECT reason, counts FROM live_session WHERE id = :id AND counts IS NOT NULL"
    [(reason, counts)] = wait_until(lambda: sql(system, query, id=UUID(session)), 20)
    return str(reason), dict(counts)  # type: ignore[call-overload]


def check(client: LiveClient, first: int = 0) -> None:
    """Each analysed frame has the result of its own picture; `first` is what the id lacks to the number."""
    for id_, result in client.results.items():
        if result.fate is Fate.ANALYSED:
            assert number_of(result) == id_ + first
            assert result.captured_at_ms == id_ + first
            assert result.received_at_ms <= result.sent_at_ms
            assert min(result.decode_ms, result.process_ms, result.batch) > 0


def test_the_command_in_the_docs_says_what_they_show(place: Place) -> None:
    command, said = re.search(r"\$ (poseline live .*)\n(.*)\n", (ROOT / "docs" / "live.md").read_text()).groups()  # type: ignore[union-attr]
    args = shlex.split(command)[1:]
    assert args == ["live", "--port", "8090", "--name", "track"]
    port = place.process.args[place.process.args.index("--port") + 1]
    said = said.replace("8090", port).replace("track@server", f"first@{socket.gethostname()}")
    assert place.running.count(said) == 1


def test_each_frame_has_its_own_result_and_both_sides_count_the_same(place: Place) -> None:
    async def use() -> tuple[LiveClient, dict[str, Any]]:
        async with live_client(*place.door) as client:
            await client.begin(hello(name="bars"))
            assert client.ready["credits"] == 2
            assert len(client.ready["keypoints"]) == 17
            await client.stream(JpegCamera(), range(1, 46), fps=60)
            return client, await client.bye()

    client, summary = asyncio.run(use())
    check(client)
    assert client.fates().items() <= summary.items()
    assert summary["analysed"] > 5
    assert client.closed == (1000, "the client ended it")
    reason, counts = noted(place.system, client.ready["session"])
    assert reason == "the client ended it"
    sent = summary["received"]
    assert sent == summary["analysed"] + summary["superseded"] + summary["failed"] == len(client.sent)
    del summary["type"]
    assert counts == {**summary, "captured": 45, "dropped": 45 - sent, "sent": sent}


def test_video_goes_on_after_damage_with_a_keyframe(place: Place) -> None:
    async def use() -> LiveClient:
        async with live_client(*place.door) as client:
            await client.begin(hello(Codec.H264))
            camera = H264Camera()
            await client.send_all(camera, range(1, 11))
            await client.answered()
            await client.send(11, b"\0\0\0\1\x41garbage", keyframe=False)
            await client.until(lambda: client.needs_keyframe)
            data, _ = H264Camera().encode(12)
            await client.send(12, data[:30], keyframe=False)
            await client.answered()
            await client.send_all(camera, range(13, 23))
            assert not client.needs_keyframe
            client.captured = len(client.sent)
            await client.bye()
            return client

    client = asyncio.run(use())
    check(client)
    failed = {id_: result.reason for id_, result in client.results.items() if result.fate is Fate.FAILED}
    assert failed == {11: "it is damaged, or no picture of the codec that was said", 12: "waits for a keyframe"}
    assert client.kinds().count("keyframe") == 2


def test_several_cameras_and_lost_connections_mix_nothing_up(place: Place) -> None:
    async def film(number: int, codec: Codec, *, lost: bool) -> LiveClient:
        first = 1000 * number
        camera = H264Camera() if codec is Codec.H264 else JpegCamera()
        async with live_client(*place.door) as client:
            await client.begin(hello(codec))
            for at in range(1, 26):
                await client.until(lambda: client.credits > 0)
                data, keyframe = camera.encode(first + at)
                await client.send(first + at, data, keyframe=keyframe, id_=at)
                await asyncio.sleep(0.002 * (at * number % 7))
            if lost:
                await client.lose()
            else:
                client.captured = len(client.sent)
                await client.bye()
            check(client, first)
            return client

    async def use() -> list[LiveClient]:
        before = await film(1, Codec.H264, lost=True)
        return [before, *await asyncio.gather(
            film(2, Codec.H264, lost=False), film(3, Codec.JPEG, lost=True), film(4, Codec.JPEG, lost=False)
        )]  # fmt: skip

    clients = asyncio.run(use())
    for client in clients:
        reason, counts = noted(place.system, client.ready["session"])
        assert counts["received"] == counts["analysed"] + counts["superseded"] + counts["failed"]
        if client.summary is None:
            assert reason == "the connection was lost"
            assert len(client.results) <= counts["received"] <= len(client.sent) == 25
        else:
            assert client.fates().items() <= client.summary.items()
            assert (counts["received"], counts["sent"]) == (25, 25)


def test_clocks_are_told_and_modes_change_as_asked(place: Place) -> None:
    async def use() -> LiveClient:
        async with live_client(*place.door) as client:
            await client.begin(hello(mode=Mode.HYBRID))
            assert (client.ready["mode"], client.ready["every_ms"]) == ("hybrid", 500)
            await client.socket.send(to_text("clock", sent_ms=12.5))
            await client.until(lambda: client.kinds() == ["clock"])
            # What comes too soon is not decoded.
            await client.send_all(JpegCamera(), range(1, 6))
            await client.answered()
            fates = [result.fate for result in client.results.values()]
            assert client.results[1].fate is Fate.ANALYSED
            assert fates.count(Fate.SUPERSEDED) >= 2
            await client.socket.send(to_text("mode", mode="full"))
            await client.until(lambda: client.kinds() == ["clock", "mode"])
            for number in range(6, 11):  # one after the other, so that none takes another's place
                await client.send_all(JpegCamera(), [number])
                await client.answered()
            client.captured = 10
            await client.bye()
            return client

    client = asyncio.run(use())
    check(client)
    clock, mode = client.texts
    assert clock["sent_ms"] == 12.5
    assert 0 < clock["received_ms"] <= clock["answered_ms"]
    assert (mode["mode"], mode["every_ms"], mode["reason"]) == ("full", None, "you asked for it")
    assert {result.fate for id_, result in client.results.items() if id_ > 5} == {Fate.ANALYSED}


def test_a_session_without_frames_ends(place: Place) -> None:
    async def use() -> LiveClient:
        async with live_client(*place.door) as client:
            await client.begin(hello())
            await client.until(lambda: client.closed)
            return client

    client = asyncio.run(use())
    assert client.closed == (4000, f"no frame came for {IDLE_S:g} s")
    assert client.texts == [{"type": "ended", "reason": f"no frame came for {IDLE_S:g} s"}]
    assert noted(place.system, client.ready["session"])[1]["received"] == 0
