"""Live sessions that are kept: each becomes a video of its team, and a run with the poses of its own pictures."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.core.live_protocol import Codec
from pipeline.core.live_record import SUPERSEDED
from pipeline.core.live_results import Fate
from pipeline.services.system import System
from tests.integration.live.conftest import Place
from tests.support.analysis import put_oracle
from tests.support.harness import processes, sql, wait_until
from tests.support.kept_session import full_run_of, live_run_of, numbers_of
from tests.support.keys import make_key
from tests.support.live import ORACLE, Camera, H264Camera, JpegCamera, LiveClient, hello, live_client, live_process
from tests.support.web import make_team, served

TICKS_PER_MS = 90


async def film(place: Place, codec: Codec, *, lost: bool = False) -> LiveClient:
    """A session that is kept: some frames one by one, damage, then as many as come, whose captured time is their
    number in ms."""
    camera: Camera = H264Camera() if codec is Codec.H264 else JpegCamera()
    async with live_client(*place.door) as client:
        await client.begin(hello(codec, keep=True, name="bars"))
        assert client.ready["kept"] is True
        await client.send_all(camera, range(1, 11))
        await client.answered()
        await client.send(11, b"\0\0\0\1\x41garbage" + bytes([1]), keyframe=False)
        await client.answered()
        if codec is Codec.H264:
            assert client.needs_keyframe
            data, _ = H264Camera().encode(12)
            await client.send(12, data, keyframe=False)
            await client.answered()
        await client.send_all(camera, range(13, 31))
        await client.stream(camera, range(31, 61), fps=200)
        await client.answered()
        if lost:
            await client.lose()
        else:
            client.captured = 60
            await client.bye()
        return client


@pytest.mark.parametrize("codec", list(Codec))
def test_a_kept_session_is_a_video_whose_live_run_has_the_poses_of_its_own_pictures(
    team_of_its_own: Place, codec: Codec
) -> None:
    system = team_of_its_own.system
    client = asyncio.run(film(team_of_its_own, codec))
    assert client.summary is not None
    assert client.summary["not_kept"] is None
    live = live_run_of(system, client.ready["session"])
    assert str(live.video_id) == client.summary["video"]
    assert (live.lane, live.state, live.is_current) == ("live", "done", True)
    assert live.tags == {"live": client.ready["session"]}
    # Frame by frame what the client was told: of its analysed frames the poses, of others why they have none.
    told = {
        TICKS_PER_MS * (id_ - 1): id_ if result.fate is Fate.ANALYSED else SUPERSEDED
        for id_, result in client.results.items()
        if result.fate is not Fate.FAILED
    }
    assert numbers_of(system, live.id) == told
    analysed = sum(1 for result in client.results.values() if result.fate is Fate.ANALYSED)
    assert analysed > 20
    gaps = (live.summary or {})["live"]
    left_out = 2 if codec is Codec.H264 else 1
    assert {name: gaps[name] for name in ("captured", "not_sent", "received", "analysed", "left_out")} == {
        "captured": 60,
        "not_sent": 60 - len(client.sent),
        "received": len(client.sent),
        "analysed": analysed,
        "left_out": left_out,
    }
    assert f"{analysed} of {len(client.sent) - left_out} frames were analysed live" in gaps["line"]
    # The pictures are what the model saw: analysed in full, each frame has the poses of the same number.
    full = full_run_of(system, live.video_id)
    seen = numbers_of(system, full.id)
    assert seen == {pts: pts // TICKS_PER_MS + 1 for pts in told}
    assert full.id != live.id
    [(current,)] = sql(system, "SELECT current_run_id FROM video WHERE id = :id", id=live.video_id)
    assert current == full.id


def test_a_session_whose_connection_is_lost_is_kept_too(team_of_its_own: Place) -> None:
    system = team_of_its_own.system
    client = asyncio.run(film(team_of_its_own, Codec.H264, lost=True))
    live = live_run_of(system, client.ready["session"])
    numbers = [number for number in numbers_of(system, live.id).values() if isinstance(number, int)]
    assert numbers == [id_ for id_, result in sorted(client.results.items()) if result.fate is Fate.ANALYSED]
    gaps = (live.summary or {})["live"]
    assert gaps["captured"] is None
    assert gaps["ended"] == "the connection was lost"
    assert "how many captured frames were not sent is not known" in gaps["line"]


def test_nothing_is_kept_of_a_session_that_did_not_ask_for_it(team_of_its_own: Place) -> None:
    async def use() -> LiveClient:
        async with live_client(*team_of_its_own.door) as client:
            await client.begin(hello())
            await client.send_all(JpegCamera(), range(1, 4))
            await client.bye()
            return client

    client = asyncio.run(use())
    assert client.summary is not None
    assert "video" not in client.summary
    home = team_of_its_own.system.settings.home / "live"
    assert not home.exists() or client.ready["session"] not in {folder.name for folder in home.iterdir()}
    query = "SELECT keep, video_id FROM live_session WHERE id = :id"
    assert sql(team_of_its_own.system, query, id=UUID(client.ready["session"])) == [(False, None)]


@pytest.mark.soak
def test_a_session_whose_process_is_killed_is_kept_by_the_next_one(system: System, tmp_path: Path) -> None:
    put_oracle(system.settings.models_path)
    patient = {**ORACLE, "POSELINE_LIVE_BUDGET_MS": "60000"}
    home = system.settings.home / "live"

    async def use(origin: str) -> LiveClient:
        door = origin, make_team(system, "ours"), {"Authorization": f"Bearer {make_key(system, 'ours')}"}
        async with live_client(*door) as client:
            await client.begin(hello(Codec.H264, keep=True))
            camera = H264Camera()
            await client.send_all(camera, range(1, 21))
            await client.answered()
            filming = asyncio.create_task(client.stream(camera, range(21, 1000), fps=200))
            await client.until(lambda: len(client.results) > 40)
            process.kill()
            await client.until(lambda: client.closed)
            filming.cancel()
            return client

    with processes(system.settings, tmp_path / "logs") as running, served(system) as origin:
        with live_process(running, system, **patient) as process:
            client = asyncio.run(use(origin))
        assert (home / client.ready["session"]).is_dir()
        with live_process(running, system, **patient):
            live = live_run_of(system, client.ready["session"])
            wait_until(lambda: list(home.iterdir()) == [], 10)
    numbers = numbers_of(system, live.id)
    told = {TICKS_PER_MS * (id_ - 1): id_ for id_, r in client.results.items() if r.fate is Fate.ANALYSED}
    assert numbers.items() >= told.items()
    assert all(number == pts // TICKS_PER_MS + 1 for pts, number in numbers.items() if isinstance(number, int))
    assert (live.summary or {})["live"]["ended"] == "the live process ended"
