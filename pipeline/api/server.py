"""Serve the application with uvicorn."""

from __future__ import annotations

import ctypes
import gc
import logging
import socket
import threading
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

import uvicorn

from pipeline.api.app import build_app
from pipeline.core.live_protocol import MAX_MESSAGE_BYTES, PING_S
from pipeline.errors import UsageError
from pipeline.services.system import System
from pipeline.services.webhooks.deliver import run_deliveries

#: Uploads and event streams are told to end, and then have so long.
_GRACE_S = 5
#: The other side of a connection that acknowledges nothing for so long is gone, too: closing waits for what was sent.
_UNANSWERED_MS = 30_000
#: M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of glibc's malloc.h.
_MALLOC = {-8: 1, -3: 2**16, -1: 2**17}


def serve(system: System, listener: socket.socket, *, trusted_proxies: str, certificate: Path | None = None) -> None:
    """Answer requests, and tell webhooks, until this process is told to stop.

    Args:
        listener: already bound, so that a port that is taken is found before anything else begins.
        trusted_proxies: addresses and networks, or `*`, separated by commas, whose `X-Forwarded-…` headers count.
        certificate: for TLS, with its private key, in PEM; plain HTTP without one.
    """
    _keep_memory_flat()
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; what the listener has, its connections have
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MS)
    stopping = threading.Event()
    deliveries = threading.Thread(target=run_deliveries, args=(system, stopping), name="webhooks", daemon=True)
    deliveries.start()
    try:
        build_server(system, trusted_proxies=trusted_proxies, certificate=certificate).run([listener])
    finally:
        stopping.set()
        deliveries.join(_GRACE_S)


class _OwnLines(logging.Filter):
    """Drops what uvicorn says of each WebSocket: its address, with whatever a client put there, and, by mistake, an
    error for each that was refused before it was accepted."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = str(record.msg)
        return not ('"WebSocket %s"' in message or "without completing handshake" in message)


_own_lines = _OwnLines()


def _keep_memory_flat() -> None:
    """Have glibc give back what a part of an upload took: with a heap for each thread ten uploads at once took 57 MiB,
    with one for all 34."""
    with suppress(OSError, AttributeError):  # another C library has no such function, and no such heaps
        library = ctypes.CDLL(None)
        for option, value in _MALLOC.items():
            library.mallopt(option, value)
        gc.collect()
        library.malloc_trim(0)


class _Server(uvicorn.Server):
    """Ends the streams of events, and what draws, before it waits for what is still being answered."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state = self.config.app.state  # type: ignore[union-attr]
        state.feed.close()
        state.thumbnails.close()
        await super().shutdown(sockets)
        if state.provider is not None:
            state.provider.close()


def build_server(system: System, *, trusted_proxies: str = "", certificate: Path | None = None) -> uvicorn.Server:
    """The server, not started."""
    return _Server(server_config(system, trusted_proxies=trusted_proxies, certificate=certificate))


def server_config(system: System, *, trusted_proxies: str = "", certificate: Path | None = None) -> uvicorn.Config:
    """How uvicorn runs the application.

    Raises:
        UsageError: a trusted proxy is no address.
    """
    proxies = trusted(trusted_proxies)
    logging.getLogger("uvicorn.error").addFilter(_own_lines)
    return uvicorn.Config(
        build_app(system, https_alone=certificate is None),
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=certificate,
    )


def trusted(given: str) -> list[str]:
    """Addresses and networks; what is none would be taken for a name that nobody has."""
    found = [each for part in given.split(",") if (each := part.strip())]
    for each in found:
        try:
            if each != "*":
                ip_network(each)
        except ValueError as error:
            raise UsageError(
                f"POSELINE_WEB_TRUSTED_PROXIES is like 127.0.0.1,10.0.0.0/8 or *: {each!r} is no address ({error})"
            ) from error
    return ["*"] if "*" in found else found
