"""The live process: it loads its model, checks it as workers do, and serves sessions until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from pipeline.core.live_protocol import MAX_MESSAGE_BYTES, PING_S
from pipeline.db.live_sessions import LiveSession
from pipeline.errors import DeviceLost, PoselineError, in_one_line
from pipeline.inference.engines.placement import Placement
from pipeline.inference.engines.sessions import Device
from pipeline.inference.zoo import find_model
from pipeline.live.engine import Engine
from pipeline.live.host import Host
from pipeline.live.session import Session
from pipeline.logs import get_logger
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from pipeline.video.reader import start_decoder

log = get_logger(__name__)

PATH = "/live"
HEALTH = "/health"
_SCHEME = "ticket "
_GPU_SLOTS = 2
#: On an H100 a call with 8 images of the bundled model takes 13 ms, one with 32 takes 40 (docs/models.md).
_MOST_IMAGES = 8
#: Of a call, at most. Workers, whose chunks can wait, give each call one thread. Here a frame that is through sooner
#: counts: one call with two threads against two calls with one each, on two cores that did other work, bundled model:
#: fp32 36 ms against 65 at best, 83 against 145 in the median, 10.6 and 13.4 calls a second; bf16 33 against 36, 53
#: against 116, 16.4 and 16.5 a second.
_THREADS = 4


@dataclass(frozen=True)
class Options:
    """How a live process runs.

    Args:
        name: among the live processes of these servers.
        url: where `poseline web` reaches it.
        slots: device calls at once; by default two of a GPU, and of a CPU as many as its cores can do.
        threads: of a CPU, for each call.
    """

    name: str
    url: str
    device: Device = "auto"
    slots: int | None = None
    threads: int | None = None


def serve_live(
    system: System, listener: socket.socket, options: Options, on_ready: Callable[[Host], None] = lambda _: None
) -> None:
    """Serve live sessions until this process is told to stop.

    Args:
        listener: already bound, so that a port that is taken is found before the model is loaded.
        on_ready: called once sessions are taken.

    Raises:
        DeviceUnavailable: the device is not there, is another than was asked for, or computes wrongly.
        InvalidWeights: the model's weights are not what they should be.
        DeviceLost: the device failed while it was at work.
        ServiceUnavailable: Postgres does not answer.
    """
    engine, lost = _load(system, options)
    start_decoder()
    try:
        asyncio.run(serve_engine(system, listener, options, engine, lost, on_ready))
    finally:
        engine.close()
    if lost:
        raise DeviceLost(lost[0])


class Lost(list[str]):
    """Why the device failed; `tell` is called then."""

    tell: Callable[[], None] = staticmethod(lambda: None)

    def note(self, reason: str) -> None:
        """Note that it has, from any thread."""
        self.append(reason)
        self.tell()


def _load(system: System, options: Options) -> tuple[Engine, Lost]:
    settings, lost = system.settings, Lost()
    cores = os.cpu_count() or 1
    threads = options.threads or min(cores, _THREADS)
    slots = options.slots or max(1, cores // threads)
    cache_path = settings.home / "engines"
    placement = Placement(options.device, slots, threads, _MOST_IMAGES, cache_path)
    models = ModelCache(system, placement)
    report = models.preload(settings.live_model)
    model = models.load(find_model(settings.live_model, settings.models_path).spec.fingerprint)
    if model.device.is_gpu and options.slots is None:
        slots = _GPU_SLOTS
    return Engine(model, slots, report.frame_ms or 1.0, lost.note), lost


async def serve_engine(
    system: System,
    listener: socket.socket,
    options: Options,
    engine: Engine,
    lost: Lost,
    on_ready: Callable[[Host], None] = lambda _: None,
) -> None:
    """Serve the sessions of an engine until this process is told to stop, or `lost` is."""
    # It tells of every connection, and of each that only looks whether this port answers a stack of calls.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    host = Host(system, engine, options.name, options.url)
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
    log.info(
        "live_starts",
        name=options.name,
        model=engine.model.spec.full_name,
        device=engine.model.device.summary,
        slots=engine.slots,
        batch=engine.model.batch,
        call_ms=round(engine.call_ms, 2),
    )
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
