"""Canaries that must see no access: a server on loopback, and a file watched with inotify."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class CanaryServer:
    """Listens on loopback and never answers; connections wait in its queue until they are counted."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    def hits(self) -> int:
        """Connections since the last call."""
        count = 0
        while True:
            try:
                self._socket.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1

    def close(self) -> None:
        self._socket.close()


@contextmanager
def canary_server() -> Iterator[CanaryServer]:
    """A server that must get no connection. At the end it checks that it would have seen one."""
    server = CanaryServer()
    try:
        yield server
        assert server.hits() == 0, "something connected"
        socket.create_connection(("127.0.0.1", server.port)).close()
        assert server.hits() == 1, "the canary misses connections"
    finally:
        server.close()


@contextmanager
def canary_file(content: bytes = b"another team's video") -> Iterator[Path]:
    """A world-readable file that must not be opened. At the end it checks that it would have noticed."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    path = folder / "canary.ts"
    path.write_bytes(content)
    path.chmod(0o666)
    try:
        with watched(path) as was_opened:
            yield path
            assert not was_opened(), "something opened it"
            path.read_bytes()
            assert was_opened(), "the canary misses reads"
            assert list(folder.iterdir()) == [path], "something left a file"
    finally:
        shutil.rmtree(folder)


@contextmanager
def watched(path: Path) -> Iterator[Callable[[], bool]]:
    """A function that returns whether the file was opened since its last call."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        pytest.skip("inotify is Linux only")
    fd = libc.inotify_init1(os.O_NONBLOCK)
    assert fd >= 0
    assert libc.inotify_add_watch(fd, os.fsencode(path), 0x20) >= 0  # IN_OPEN

    def was_opened() -> bool:
        try:
            return bool(os.read(fd, 4096))
        except BlockingIOError:
            return False

    try:
        yield was_opened
    finally:
        os.close(fd)
