"""Who may begin a live session, and what is done with those who send what no client should."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from dataclasses import replace
from typing import Any

import psutil
import pytest
from fastapi.routing import APIWebSocketRoute
from websockets.exceptions import InvalidStatus

import pipeline.api.live
import pipeline.api.server
from pipeline.api.app import ROUTERS
from pipeline.core.live_protocol import FRAME, MAX_MESSAGE_BYTES, Frame, to_text
from pipeline.core.roles import Role
from tests.integration.live.conftest import Place
from tests.support.harness import sql, wait_until
from tests.support.keys import make_key
from tests.support.live import JpegCamera, LiveClient, hello, jpeg, live_client
from tests.support.web import make_team, served, signed_in


def status_of(place: Place, **headers: str) -> int:
    """The status with which a connection is refused; 101 where it is accepted."""

    async def use() -> int:
        try:
            async with live_client(place.origin, place.team, headers):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    return asyncio.run(use())


def test_only_coaches_of_the_team_come_in_and_browsers_from_its_own_pages(place: Place) -> None:
    key, viewer, other = (
        {"Authorization": f"Bearer {secret}"}
        for secret in (place.key, make_key(place.system, "ours", Role.VIEWER), make_key(place.system, "theirs"))
    )
    browser = signed_in(place.system, place.origin, "coach@example.org", ours=Role.COACH)
    cookie = {"Cookie": f"poseline={browser.cookies['poseline']}"}
    assert status_of(place, **key) == 101
    assert status_of(place, **viewer) == 403
    assert status_of(place, **other) == 404
    assert status_of(place, Authorization="Bearer psl_nothing") == 401
    assert status_of(place, Origin=place.origin) == 401
    assert status_of(place, **cookie, Origin=place.origin) == 101
    assert status_of(place, **cookie) == 403
    for origin in ("https://evil.example", "null", place.origin + ".evil.example", "http://127.0.0.1"):
        assert status_of(place, **cookie, Origin=origin) == 403
    wrong = replace(place, team=make_team(place.system, "theirs"))
    assert status_of(wrong, **cookie, Origin=place.origin) == 404
    assert status_of(replace(place, team="no-uuid"), **key) == 403  # type: ignore[arg-type]


def test_there_is_one_websocket() -> None:
    """Endpoints of other kinds declare who may call them; of this kind each has to be looked at here."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIWebSocketRoute)]
    assert [route.path for route in routes] == ["/teams/{team_id}/live"]


def test_a_revoked_key_ends_its_session(team_of_its_own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place = team_of_its_own
    monkeypatch.setattr(pipeline.api.live, "CHECK_EVERY_S", 0.1)

    async def use() -> LiveClient:
        async with live_client(*place.door) as client:
            await client.begin(hello())
            await client.send_all(JpegCamera(), range(1, 6))
            await client.answered()
            sql(place.system, "UPDATE api_key SET revoked_at = now() WHERE team_id = :team", team=place.team)
            await client.until(lambda: client.closed)
            return client

    client = asyncio.run(use())
    reason = "it was signed out, its key was revoked, or its role has changed"
    assert client.closed == (4008, reason)
    assert client.texts == [{"type": "ended", "reason": reason}]
    query = "SELECT reason, counts ->> 'received' FROM live_session WHERE team_id = :team AND counts IS NOT NULL"
    assert wait_until(lambda: sql(place.system, query, team=place.team), 10) == [(reason, "5")]


def test_a_mistake_of_ours_is_not_taken_for_a_lost_connection(
    team_of_its_own: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = team_of_its_own

    async def fail(_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(pipeline.api.live._Tunnel, "_pass_down", fail)

    async def use() -> LiveClient:
        async with live_client(*place.door) as client:
            await client.begin(hello())
            await client.until(lambda: client.closed)
            return client

    assert asyncio.run(use()).ready
    query = "SELECT reason FROM live_session WHERE team_id = :team AND counts IS NOT NULL"
    [(reason,)] = wait_until(lambda: sql(place.system, query, team=place.team), 10)
    assert reason == "it failed; the log of the web process says why"


def test_a_team_has_only_so_many_sessions(team_of_its_own: Place) -> None:
    place = team_of_its_own

    async def use() -> None:
        async with live_client(*place.door) as first:
            await first.begin(hello())
            # As if seven others were open, one of which was not heard of for a while.
            sql(
                place.system,
                "INSERT INTO live_session (team_id, mode, last_seen_at) SELECT :team, 'full', "
                "now() - make_interval(secs => CASE WHEN i = 0 THEN 61 ELSE 0 END) FROM generate_series(0, 7) i",
                team=place.team,
            )
            async with live_client(*place.door) as second:
                await second.begin(hello())
                await second.until(lambda: second.closed)
                assert second.refused == {
                    "type": "refused",
                    "reason": "this team has 8 live sessions, as many as it may have at once; end one first",
                    "offer": "preview",
                }
                assert second.closed is not None
                assert second.closed[0] == 4003
            await first.bye()
        query = "SELECT 1 FROM live_session WHERE team_id = :team AND counts IS NOT NULL"
        await asyncio.to_thread(wait_until, lambda: sql(place.system, query, team=place.team), 10)
        async with live_client(*place.door) as third:
            await third.begin(hello())
            assert third.ready
            await third.bye()

    asyncio.run(use())


HELLO = hello().to_text()
FIRST = Frame(1, True, 0.0, 0.0, 0.0, jpeg(1)).to_bytes()
#: What is sent, and the words of the reason with which the connection is closed.
HOSTILE: dict[str, tuple[list[Any], int, str]] = {
    "a frame first": ([FIRST], 4009, "first message is `hello`"),
    "no JSON": (["hello"], 4009, "JSON object"),
    "another version": ([HELLO.replace('"version": 1', '"version": 9')], 4009, "version 1"),
    "a long text": (["x" * 5000], 4009, "4096 characters"),
    "hello twice": ([HELLO, HELLO], 4009, "`hello` comes once"),
    "an unknown message": ([HELLO, to_text("drop table")], 4009, "no message 'drop table'"),
    "an id again": ([HELLO, FIRST, FIRST], 4009, "frame 1 comes after frame 1"),
    "an empty frame": ([HELLO, FIRST[: FRAME.size]], 4009, "a binary message is a frame"),
    "another kind": ([HELLO, b"\x07" + FIRST[1:]], 4009, "a binary message is a frame"),
    "a giant text": (["x" * (MAX_MESSAGE_BYTES + 1)], 1009, ""),
    "a giant frame": ([HELLO, FIRST + bytes(MAX_MESSAGE_BYTES)], 1009, ""),
    "no UTF-8": ([HELLO, [b"\xff\xfe"]], 1007, ""),
}  # fmt: skip


def test_what_no_client_should_send_closes_its_connection_alone(place: Place) -> None:
    async def use() -> None:
        async with live_client(*place.door) as bystander:
            await bystander.begin(hello())
            for name, (messages, code, words) in HOSTILE.items():
                await bystander.send_all(JpegCamera(), [bystander.captured + 1])
                async with live_client(*place.door) as client:
                    client._task = asyncio.create_task(client._read())
                    for message in messages:
                        # A list of pieces is a text that websockets does not check.
                        await client.socket.send(message, text=True if isinstance(message, list) else None)
                    client.sent[1] = time.monotonic()
                    await client.until(lambda: client.closed)
                    assert client.closed is not None
                    assert (client.closed[0], words in client.closed[1]) == (code, True), (name, client.closed)
            await bystander.bye()
            assert bystander.fates()["failed"] == 0

    asyncio.run(use())


def test_frames_beyond_credits_are_not_taken(place: Place) -> None:
    async def use() -> LiveClient:
        async with live_client(*place.door) as client:
            await client.begin(hello())
            for number in range(1, 200):  # faster than any server answers
                client.sent[number] = time.monotonic()
            await asyncio.gather(
                *(client.socket.send(Frame(n, True, 0.0, 0.0, 0.0, jpeg(n)).to_bytes()) for n in range(1, 200)),
                return_exceptions=True,
            )
            await client.until(lambda: client.closed)
            return client

    client = asyncio.run(use())
    assert client.closed == (4009, "more frames are under way than there are credits (2)")


def test_a_client_that_is_gone_without_a_word_is_found(team_of_its_own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place = team_of_its_own
    monkeypatch.setattr(pipeline.api.server, "PING_S", 0.3)
    noted = "SELECT reason FROM live_session WHERE team_id = :team AND counts IS NOT NULL"
    with (
        served(place.system) as origin,
        socket.create_connection(("127.0.0.1", int(origin.rpartition(":")[2]))) as gone,
    ):
        gone.sendall(
            f"GET /api/v1/teams/{place.team}/live HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {place.key}\r\n\r\n".encode()
        )
        said, pongs = b"", 0
        while b"\r\n\r\n" not in said:
            said += gone.recv(2**16)
        gone.sendall(b"\x81\xfe" + len(HELLO).to_bytes(2, "big") + bytes(4) + HELLO.encode())
        while b'"type": "ready"' not in said:
            said += gone.recv(2**16)
            for ping in re.findall(rb"\x89\x04(.{4})", said, re.DOTALL)[pongs:]:
                gone.sendall(b"\x8a\x84" + bytes(4) + ping)
                pongs += 1
        assert wait_until(lambda: sql(place.system, noted, team=place.team), 20) == [("the connection was lost",)]


def test_thirty_at_once_hurt_nobody_who_is_in(team_of_its_own: Place) -> None:
    place = team_of_its_own
    memory = psutil.Process(place.process.pid).memory_info

    async def ask(_: int) -> LiveClient:
        async with live_client(*place.door) as client:
            await client.begin(hello())
            if client.ready:
                await client.send_all(JpegCamera(), range(1, 6))
                await client.answered()
                await client.bye()
            else:
                await client.until(lambda: client.closed)
            return client

    async def use() -> tuple[LiveClient, list[LiveClient]]:
        async with live_client(*place.door) as inside:
            await inside.begin(hello())
            camera = asyncio.create_task(inside.stream(JpegCamera(), range(1, 100_000), fps=15))
            await inside.until(lambda: len(inside.results) >= 3)
            others = await asyncio.gather(*map(ask, range(30)))
            camera.cancel()
            await asyncio.wait([camera])
            await inside.answered()
            await inside.bye()
            return inside, others

    before = memory().rss
    inside, others = asyncio.run(use())
    assert inside.fates()["failed"] == 0
    assert inside.fates().items() <= (inside.summary or {}).items()
    let_in = [client for client in others if client.ready]
    assert let_in
    assert all(client.fates()["received"] == 5 and client.fates()["failed"] == 0 for client in let_in)
    refused = [client for client in others if client.refused]
    assert len(let_in) + len(refused) == 30
    assert all(client.closed and client.closed[0] == 4003 for client in refused)
    assert memory().rss - before < 60 * 2**20
