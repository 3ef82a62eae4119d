"""Open a live session: on the first of some ways to a server that has room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from pipeline.core.live_protocol import MAX_MESSAGE_BYTES, Hello
from pipeline.errors import PoselineError, ServiceUnavailable, UsageError
from pipeline.remote.http import problem_of
from pipeline.remote.live import CameraSession
from pipeline.remote.live_frames import Answer, Encode, LiveRefused

P = TypeVar("P")

_CONNECT_S: Final = 10.0


@dataclass(frozen=True)
class Way:
    """Where a session can be opened: the URL of a WebSocket, and the headers that let it in."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


@asynccontextmanager
async def open_live(
    ways: Iterable[Way],
    hello: Hello,
    encode: Encode[P],
    on_answer: Callable[[Answer[P]], None],
    on_starting: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[CameraSession[P]]:
    """Begin a session on the first way that has room; it is ended after the block.

    Raises:
        LiveRefused: none has.
        ServiceUnavailable: no server answers.
        PoselineError: as the server says.
    """
    problem: PoselineError = ServiceUnavailable("no live process runs; start one with `poseline live`")
    for way in ways:
        try:
            socket = await _connect(way)
            session = CameraSession(socket, encode, on_answer, on_starting)
            try:
                await session.begin(hello)
            except BaseException:
                await socket.close()
                raise
        except (ServiceUnavailable, LiveRefused) as error:
            problem = error
            continue
        break
    else:
        raise problem
    try:
        yield session
    finally:
        await session.end()
        await socket.close()


class _Connect(connect):
    """A connection that follows no redirect, which would carry the key elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """See `websockets.asyncio.client.connect`."""
        return exc


async def _connect(way: Way) -> ClientConnection:
    origin = way.url.partition("/api/")[0].removesuffix("/live").replace("ws", "http", 1)
    try:
        return await _Connect(
            way.url,
            additional_headers=dict(way.headers),
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=_CONNECT_S,
            proxy=None,
        )
    except InvalidStatus as error:
        if 300 <= error.response.status_code < 400:
            elsewhere = error.response.headers.get("Location", "")
            raise UsageError(f"{origin} sends to {elsewhere!r}; sign in at that server's own address") from error
        raise problem_of(origin, error.response.status_code, bytes(error.response.body or b"")) from error
    except (OSError, TimeoutError, InvalidHandshake) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ServiceUnavailable(f"{origin} does not answer ({reason}); check the address and the network") from error
