"""What a session sends to a client that reads, and to one that does not."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

import pipeline.live.outbox
from pipeline.core.live_protocol import CloseCode
from pipeline.live.outbox import MOST_MESSAGES, Outbox

LARGE = bytes(2**20)
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_messages_keep_their_order_and_the_last_one_is_sent_before_the_end() -> None:
    async def handle(connection: ServerConnection) -> None:
        outbox = Outbox(connection, lambda: None)
        # What the client has sent meanwhile must not keep the server from hearing its close.
        await said.wait()
        for number in range(20):
            outbox.put(str(number))
        await outbox.close(CloseCode.OVER, "x" * 200)
        outbox.put("too late")
        took_s.append(time.monotonic() - begun_s)

    said, took_s = asyncio.Event(), []
    begun_s = time.monotonic()

    async def use() -> None:
        async with serve(handle, "127.0.0.1", 0, max_queue=2) as server, connect(at(server)) as client:
            for _ in range(30):
                await client.send(LARGE[:1000])
            said.set()
            got = [await client.recv() for _ in range(20)]
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert got == [str(number) for number in range(20)]
            assert (client.close_code, client.close_reason) == (4000, "x" * 123)

    asyncio.run(use())
    assert took_s[0] < 5


@pytest.mark.parametrize("count", [MOST_MESSAGES + 8, MOST_MESSAGES - 2])
def test_who_does_not_read_is_closed_and_costs_no_more_memory(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.live.outbox, "SEND_S", 0.3)
    slow: list[bool] = []
    done = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        outbox = Outbox(connection, lambda: slow.append(True))
        for _ in range(count):
            outbox.put(LARGE)
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        outbox.put("nobody hears this")
        await outbox.stop()
        done.set()

    async def use() -> None:
        async with serve(handle, "127.0.0.1", 0) as server:
            with socket.socket() as narrow:
                narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                narrow.connect(server.sockets[0].getsockname())
                narrow.sendall(HANDSHAKE)
                await asyncio.wait_for(done.wait(), 20)

    asyncio.run(use())
    assert slow == [True]


def at(server: object) -> str:
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
