"""What a session sends, in order, from a queue of its own: who reads too slowly is closed, and nobody waits for him."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from pipeline.core.live_protocol import CloseCode, closing_reason

#: A client has fewer messages under way than this, or does not read.
MOST_MESSAGES = 32
SEND_S = 10.0


class Outbox:
    """Sends messages one by one.

    Args:
        on_slow: called once if the client does not read.
    """

    def __init__(self, socket: ServerConnection, on_slow: Callable[[], None]) -> None:
        self._socket = socket
        self._on_slow = on_slow
        self._queue: asyncio.Queue[str | bytes | tuple[CloseCode, str]] = asyncio.Queue(MOST_MESSAGES)
        self._task = asyncio.create_task(self._run())
        self._closed = False

    def put(self, message: str | bytes) -> None:
        """Send a message, unless the connection is being closed."""
        if self._closed:
            return
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self._give_up()

    async def close(self, code: CloseCode, reason: str) -> None:
        """Close the connection once everything is sent."""
        if not self._closed:
            self._closed = True
            try:
                self._queue.put_nowait((code, reason))
            except asyncio.QueueFull:
                self._give_up()
        await asyncio.wait([self._task])

    async def stop(self) -> None:
        """End without sending what is left."""
        self._closed = True
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while True:
                message = await self._queue.get()
                async with asyncio.timeout(SEND_S):
                    if isinstance(message, tuple):
                        await self._close(*message)
                        return
                    await self._socket.send(message)
        except TimeoutError:
            self._give_up()
        except ConnectionClosed:
            self._closed = True

    async def _close(self, code: CloseCode, reason: str) -> None:
        """Close, reading on: the other side's answer comes after all that it has sent."""
        discarding = asyncio.create_task(_discard(self._socket))
        try:
            await self._socket.close(code, closing_reason(reason))
        finally:
            discarding.cancel()
            await asyncio.wait([discarding])

    def _give_up(self) -> None:
        self._closed = True
        self._on_slow()
        self._socket.transport.abort()


async def _discard(socket: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
