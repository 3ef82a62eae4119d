"""A slow network where there is none: connections are passed on with the delay and at the rate of a home's line.

It stands between client and server on loopback and needs no rights. It delays bytes, not packets: there is no loss,
and no reordering.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

_PIECE_BYTES: Final = 16_384
#: Pieces on their way in one direction; more wait in the sender's buffers, as with a real network.
_UNDER_WAY: Final = 64


@dataclass(frozen=True)
class Network:
    """A network, alike in both directions.

    Args:
        round_trip_ms: what `ping` would show.
        mbit_s: of each connection, in each direction.
    """

    round_trip_ms: float = 20.0
    mbit_s: float = 10.0

    def __str__(self) -> str:
        return f"{self.round_trip_ms:g} ms there and back, {self.mbit_s:g} Mbit/s, delayed in the client"


@asynccontextmanager
async def slowed(port: int, network: Network) -> AsyncIterator[int]:
    """A port on loopback that leads to another one over a network."""
    open_ones: set[asyncio.Task[None]] = set()

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_pass_on(port, network, reader, writer))
        open_ones.add(task)
        task.add_done_callback(open_ones.discard)

    server = await asyncio.start_server(enter, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)


async def _pass_on(port: int, network: Network, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writers = [writer]
    try:
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(other_writer)
        async with asyncio.TaskGroup() as both:
            both.create_task(_delay(reader, other_writer, network))
            both.create_task(_delay(other_reader, writer, network))
    except* OSError:  # one side was reset, and so is the other: what was under way is lost, as in a network
        for each in writers:
            each.transport.abort()
    finally:
        for each in writers:
            each.close()


async def _delay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, network: Network) -> None:
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY)

    async def take() -> None:
        free_s, piece = 0.0, b"-"
        while piece:
            piece = await reader.read(_PIECE_BYTES)
            free_s = max(free_s, loop.time()) + len(piece) * 8 / (network.mbit_s * 1e6)
            await under_way.put((free_s + network.round_trip_ms / 2000, piece))

    async def give() -> None:
        piece = b"-"
        while piece:
            due_s, piece = await under_way.get()
            await asyncio.sleep(due_s - loop.time())
            if piece:
                writer.write(piece)
                await writer.drain()
            else:
                writer.write_eof()

    async with asyncio.TaskGroup() as both:
        both.create_task(take())
        both.create_task(give())
