"""A TCP proxy on loopback whose connections a test can break, freeze, slow down or answer falsely, at any time."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_RESET = struct.pack("ii", 1, 0)
_TICK_S = 0.05
#: For the server to take what was sent before its client is seen to be gone.
_SERVED_S = 0.5


class FaultProxy:
    """Forwards to one port of this machine.

    Args:
        on_sent: sees which connection sends what; where it returns True, the bytes still arrive, but that
            connection is reset before any answer.

    Attributes:
        refusing: reset every new connection.
        frozen: forward nothing, in either direction, and keep connections open.
        answer: these bytes instead of the server's for whatever a client sends, and then the connection is closed.
        cut_after_bytes: of an answer; then the connection is reset.
        pause_s: before each piece of an answer, which then has at most 4 KiB.
    """

    def __init__(self, to_port: int, on_sent: Callable[[int, bytes], bool] | None = None) -> None:
        self._to_port, self._on_sent = to_port, on_sent
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._server.getsockname()[1])
        self.refusing = self.frozen = False
        self.answer: bytes | None = None
        self.cut_after_bytes: int | None = None
        self.pause_s = 0.0
        #: Connections that clients made, and those that a fault hit.
        self.connections = self.hit = 0
        self._closed = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def reset_all(self) -> int:
        """Reset every connection. Returns how many sockets there were."""
        ends = list(self._open)
        for end in ends:
            self._reset(end)
        return len(ends)

    def heal(self) -> None:
        """Forward as if nothing had been; what hung meanwhile stays as it is, as after a cable was pulled."""
        self.refusing = self.frozen = False
        self.answer, self.cut_after_bytes, self.pause_s = None, None, 0.0

    def close(self) -> None:
        """End every connection and stop listening."""
        self._closed.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.reset_all()
        for thread in self._threads:
            thread.join(5)

    def _reset(self, end: socket.socket) -> None:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            end.close()
        self._open.discard(end)

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._closed.is_set():
                client, _ = self._server.accept()
                self.connections += 1
                if self.refusing:
                    self.hit += 1
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._to_port))
                except OSError:
                    client.close()
                    continue
                self._open |= {client, server}
                for source, target, asks in ((client, server, True), (server, client, False)):
                    thread = threading.Thread(target=self._pump, args=(source, target, asks), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536 if asks or not self.pause_s else 4096):
                if self.frozen:
                    self.hit += 1
                while self.frozen and not self._closed.is_set():
                    self._closed.wait(_TICK_S)
                if asks and self.answer is not None:
                    self.hit += 1
                    source.sendall(self.answer)
                    break
                if asks and self._on_sent is not None and self._on_sent(id(source), data):
                    self.hit += 1
                    self._reset(source)  # first, or the answer would get through
                    target.sendall(data)
                    self._closed.wait(_SERVED_S)
                    break
                passed += len(data)
                if not asks and self.cut_after_bytes is not None and passed > self.cut_after_bytes:
                    self.hit += 1
                    target.sendall(data[: max(0, len(data) - (passed - self.cut_after_bytes))])
                    break
                if not asks and self.pause_s:
                    self.hit += 1
                    self._closed.wait(self.pause_s)
                target.sendall(data)
        for end in (source, target):
            self._reset(end)


@contextmanager
def fault_proxy(to_port: int, on_sent: Callable[[int, bytes], bool] | None = None) -> Iterator[FaultProxy]:
    """A proxy for one block."""
    proxy = FaultProxy(to_port, on_sent)
    try:
        yield proxy
    finally:
        proxy.close()
