"""The live process: it takes sessions until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from pipeline.core.live_protocol import MAX_MESSAGE_BYTES, PING_S
from pipeline.db.live_sessions import LiveSession
from pipeline.errors import DeviceLost, PoselineError, in_one_line
from pipeline.inference.zoo import find_model
from pipeline.live.engine import Engine
from pipeline.live.engine_source import EngineSource
from pipeline.live.host import Host
from pipeline.live.options import Options
from pipeline.live.session import Session
from pipeline.logs import get_logger
from pipeline.services.system import System

log = get_logger(__name__)

PATH = "/live"
HEALTH = "/health"
_SCHEME = "ticket "


def serve_live(
    system: System, listener: socket.socket, options: Options, on_ready: Callable[[Host], None] = lambda _: None
) -> None:
    """Serve live sessions until this process is told to stop.

    Args:
        listener: already bound, so that a port that is taken is found before the model is loaded.
        on_ready: called once sessions are taken.

    Raises:
        UnknownModel: there is no model of the settings' name.
        DeviceUnavailable: the device is not there, is another than was asked for, or computes wrongly.
        InvalidWeights: the model's weights are not what they should be. Where it is loaded for the first session only,
            that session is told of both.
        DeviceLost: the device failed while it was at work.
        ServiceUnavailable: Postgres does not answer.
    """
    settings, lost = system.settings, Lost()
    name = find_model(settings.live_model, settings.models_path).spec.full_name
    source = EngineSource(name, partial(_load, system, options, lost))
    if not options.lazy:
        source.load()
    try:
        asyncio.run(serve_engine(system, listener, options, source, lost, on_ready))
    finally:
        source.close()
    if lost:
        raise DeviceLost(lost[0])


class Lost(list[str]):
    """Why the device failed; `tell` is called then."""

    tell: Callable[[], None] = staticmethod(lambda: None)

    def note(self, reason: str) -> None:
        """Note that it has, from any thread."""
        self.append(reason)
        self.tell()


def _load(system: System, options: Options, lost: Lost) -> Engine:
    from pipeline.live.loading import load_engine  # noqa: PLC0415 - the engines' libraries, which may not be needed

    return load_engine(system, options, lost.note)


async def serve_engine(
    system: System,
    listener: socket.socket,
    options: Options,
    source: EngineSource,
    lost: Lost,
    on_ready: Callable[[Host], None] = lambda _: None,
) -> None:
    """Serve sessions until this process is told to stop, or `lost` is."""
    # It tells of every connection, and of each that only looks whether this port answers a stack of calls.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    host = Host(system, source, options)
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    lost.tell = partial(_set, loop, stopping)
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: whoever started it stops it
            loop.add_signal_handler(number, stopping.set)
    door = _Door(host)
    server = await serve(
        door.enter,
        sock=listener,
        process_request=door.check,
        compression=None,
        max_size=MAX_MESSAGE_BYTES,
        max_queue=4,
        ping_interval=PING_S,
        ping_timeout=PING_S,
        close_timeout=PING_S / 2,
        server_header=None,
    )
    await host.report_now()
    host.keeper.start()
    tasks = [asyncio.create_task(host.report()), asyncio.create_task(host.govern())]
    log.info("live_starts", name=options.name, model=source.model, lazy=options.lazy)
    on_ready(host)
    try:
        await stopping.wait()
        await host.drain()
    finally:
        for task in tasks:
            task.cancel()
        server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PING_S):
                await server.wait_closed()
        await asyncio.to_thread(host.keeper.close)
    log.info("live_stopped", name=options.name)


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended already
        loop.call_soon_threadsafe(event.set)


class _Door:
    """Who may come in: `poseline web`, with a ticket for one session."""

    def __init__(self, host: Host) -> None:
        self._host = host
        # A client may go between the two calls.
        self._rows: WeakKeyDictionary[ServerConnection, LiveSession] = WeakKeyDictionary()

    async def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer what is no session with a status; None lets the connection in."""
        if request.path == HEALTH:
            return connection.respond(HTTPStatus.OK, "ok\n")
        given = request.headers.get("Authorization", "")
        if request.path != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "there is nothing here\n")
        if not given.lower().startswith(_SCHEME):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "a live process takes sessions from `poseline web`\n")
        if self._host.draining:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "this live process stops\n")
        return await self._take(connection, given[len(_SCHEME) :].strip())

    async def _take(self, connection: ServerConnection, ticket: str) -> Response | None:
        try:
            row = await self._host.admit(ticket)
        except PoselineError as error:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, f"{in_one_line(error)}\n")
        if row is None:
            return connection.respond(HTTPStatus.FORBIDDEN, "this ticket is not valid, or no longer\n")
        self._rows[connection] = row
        return None

    async def enter(self, connection: ServerConnection) -> None:
        """Serve one session."""
        session = Session(self._host, self._rows.pop(connection), connection)
        try:
            await session.run()
        except Exception:
            log.exception("live_session_failed", session=str(session.row.id))
            session.reason = "it failed; the log of the live process says why"
        finally:
            if session.entered:  # else it may begin in another process, and whoever sent it here notes its end
                await self._host.note_end(session)
