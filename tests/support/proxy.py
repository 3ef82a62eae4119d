"""A TCP proxy on loopback that breaks connections on purpose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class BreakingProxy:
    """Forwards to one port of this machine, and resets every connection that sent `limit_bytes`."""

    def __init__(self, to_port: int, limit_bytes: int) -> None:
        self._to_port = to_port
        self._limit_bytes = limit_bytes
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.broken = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._to_port))
                for source, target, limit in ((client, server, self._limit_bytes), (server, client, None)):
                    thread = threading.Thread(target=self._pump, args=(source, target, limit), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, source: socket.socket, target: socket.socket, limit: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                passed += len(data)
                if limit is not None and passed > limit:
                    self.broken += 1
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(5)


@contextmanager
def breaking_proxy(to_port: int, limit_bytes: int) -> Iterator[BreakingProxy]:
    """A proxy for one block."""
    proxy = BreakingProxy(to_port, limit_bytes)
    try:
        yield proxy
    finally:
        proxy.close()
