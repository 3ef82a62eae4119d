"""The slow network of the benchmark delays, narrows, and loses nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time

from pipeline.bench.slow_network import Network, slowed


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()


async def _there_and_back(network: Network, data: bytes) -> tuple[bytes, float]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server, slowed(server.sockets[0].getsockname()[1], network) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begun_s = time.monotonic()
        writer.write(data)
        found = await reader.readexactly(len(data))
        took_s = time.monotonic() - begun_s
        writer.close()
        await writer.wait_closed()
        return found, took_s


def test_a_small_message_takes_the_round_trip() -> None:
    found, took_s = asyncio.run(_there_and_back(Network(round_trip_ms=60, mbit_s=1000), b"hello"))
    assert found == b"hello"
    assert took_s >= 0.06


def test_a_large_one_takes_as_long_as_the_line_is_narrow() -> None:
    data = os.urandom(50_000)
    found, took_s = asyncio.run(_there_and_back(Network(round_trip_ms=0, mbit_s=4), data))
    assert found == data
    assert took_s >= 50_000 * 8 / 4e6


def test_whoever_is_behind_it_hears_of_the_end() -> None:
    async def use() -> bytes:
        async def last_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.write(b"bye")
            writer.close()

        server = await asyncio.start_server(last_words, "127.0.0.1", 0)
        async with server, slowed(server.sockets[0].getsockname()[1], Network(1, 100)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write_eof()
            async with asyncio.timeout(10):
                found = await reader.read()
            writer.close()
            await writer.wait_closed()
            return found

    assert asyncio.run(use()) == b"bye"


def test_a_side_that_is_reset_resets_the_other() -> None:
    async def use() -> None:
        ended = asyncio.Event()

        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                assert await reader.read(1) == b"-"
                writer.write(b"-")
                assert await reader.read() == b""
            except ConnectionResetError:
                pass
            finally:
                writer.close()
                ended.set()

        server = await asyncio.start_server(wait, "127.0.0.1", 0)
        async with server, slowed(server.sockets[0].getsockname()[1], Network(1, 100)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"-")
            assert await reader.read(1) == b"-"
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            async with asyncio.timeout(10):
                await ended.wait()

    asyncio.run(use())
