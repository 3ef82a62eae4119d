"""The bytes of a part, from the network to a file, in memory only a piece at a time.

A file, so that a slow sender keeps no connection to the object store busy, and so that the store may be asked again.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

from pipeline.errors import PartDamaged, ServiceUnavailable, disk_full_line

#: Written and hashed at once, in a thread.
_PIECE_BYTES = 2**16
#: A sender that gives nothing for so long is gone: a laptop that sleeps, a network that went away.
_SILENT_S = 60.0


class SenderGone(Exception):
    """The sender went away before the part was whole."""


class Threads:
    """The threads that uploads may take, so that other requests are answered meanwhile."""

    def __init__(self, writing: int = 4, storing: int = 4) -> None:
        self.writing = anyio.CapacityLimiter(writing)
        self.storing = anyio.CapacityLimiter(storing)


@asynccontextmanager
async def received(
    request: Request, size_bytes: int, sha256: str, folder: Path, threads: Threads
) -> AsyncIterator[IO[bytes]]:
    """The body of a request as an open file of that size and SHA-256; it is gone after the block.

    Raises:
        SenderGone: the rest did not come.
        PartDamaged: it is longer or shorter, or has another SHA-256.
        ServiceUnavailable: the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
    except OSError as error:
        raise _full(error) from error
    try:
        digest = hashlib.sha256()
        total = 0
        try:
            async for piece in _pieces(request):
                total += len(piece)
                if total > size_bytes:
                    raise PartDamaged(f"this part has more than its {size_bytes} bytes; send it again")
                await anyio.to_thread.run_sync(partial(_keep, file, digest, piece), limiter=threads.writing)
        except OSError as error:
            raise _full(error) from error
        if total != size_bytes or digest.hexdigest() != sha256:
            raise PartDamaged
        yield file
    finally:
        file.close()


async def _pieces(request: Request) -> AsyncIterator[bytearray]:
    piece = bytearray()
    stream = request.stream().__aiter__()
    try:
        while True:
            try:
                piece += await asyncio.wait_for(anext(stream), _SILENT_S)
            except StopAsyncIteration:
                break
            if len(piece) >= _PIECE_BYTES:
                yield piece
                piece = bytearray()
    except (ClientDisconnect, TimeoutError) as error:
        raise SenderGone from error
    if piece:
        yield piece


def _keep(file: IO[bytes], digest: hashlib._Hash, piece: bytearray) -> None:
    digest.update(piece)
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def _full(error: OSError) -> ServiceUnavailable:
    return ServiceUnavailable(disk_full_line(error) or f"this server cannot keep a part for a moment: {error.strerror}")
