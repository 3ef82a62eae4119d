"""One client's session in a live process, from its `hello` to its end. Runs in the event loop.

Every frame that was received has one result, and each result gives the client one credit back.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from pipeline.core.live_admission import HYBRID_EVERY_MS, Change, Demand
from pipeline.core.live_pace import TextLimit
from pipeline.core.live_protocol import (
    HELLO_S,
    VERSION,
    BadMessage,
    Bye,
    Clock,
    CloseCode,
    Frame,
    Hello,
    Mode,
    ModeWish,
    read_client,
    to_text,
)
from pipeline.db.live_sessions import LiveSession
from pipeline.errors import NotKept
from pipeline.live.frames import CREDITS, Counts, Frames
from pipeline.live.keeping import Kept, KeptSession
from pipeline.live.outbox import Outbox
from pipeline.logs import get_logger
from pipeline.services.live.spool import End

if TYPE_CHECKING:
    from pipeline.inference.pose_model import PoseModel
    from pipeline.live.host import Host

log = get_logger(__name__)

_LAST_RESULTS_S = 10.0


class _Over(Exception):
    """The session ends with this code and reason."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Session:
    """A session.

    Args:
        row: as it was begun.
    """

    def __init__(self, host: Host, row: LiveSession, socket: ServerConnection) -> None:
        self.row = row
        self.mode, self.every_ms = row.mode, HYBRID_EVERY_MS
        self.wanted = row.mode
        self.begun_s = time.monotonic()
        self.reason = ""
        self.entered = False
        self._host = host
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(socket, self._note_slow)
        self._hello: Hello | None = None
        self._frames: Frames | None = None
        self._kept: KeptSession | None = None
        self._not_kept = ""
        self._texts = TextLimit(self.begun_s)
        self._frame_s = self.begun_s
        self._received_s = self.begun_s
        self._ended: asyncio.Future[_Over] = self._loop.create_future()

    @property
    def counts(self) -> Counts:
        """What became of its frames."""
        return Counts() if self._frames is None else self._frames.counts

    @property
    def demand(self) -> Demand:
        """What this session sends."""
        fps = self._hello.fps if self._hello is not None else 30.0
        sent_fps = 0.0 if self._frames is None else self._frames.pace.sent_fps(time.monotonic())
        return Demand(self.row.id, self.begun_s, self.wanted, self.mode, fps, self.every_ms, sent_fps)

    async def run(self) -> None:
        """Serve the client until the session ends, and say why it did."""
        try:
            await self._serve()
        except _Over as over:
            await self._end(over)
        except BadMessage as error:
            await self._end(_Over(CloseCode.PROTOCOL, str(error)))
        except ConnectionClosed as closed:
            said = closed.rcvd.reason if closed.rcvd is not None else ""
            self.reason = self.reason or said or "the connection was lost"
        finally:
            await self._leave()

    def end(self, code: CloseCode, reason: str) -> None:
        """End the session from outside."""
        if not self._ended.done():
            self._ended.set_result(_Over(code, reason))

    def change(self, change: Change) -> None:
        """Take up another mode, and tell the client."""
        if change.mode is Mode.PREVIEW:
            self._outbox.put(to_text("mode", mode=Mode.PREVIEW, every_ms=None, reason="this server is overloaded"))
            self.end(CloseCode.OVERLOAD, "this server is overloaded; the preview goes on without it")
            return
        self._take_up(change.mode, change.every_ms)
        reason = (
            "this server is overloaded: it analyses fewer frames of this session"
            if change.why == "overload"
            else "this server has room again"
        )
        self._outbox.put(to_text("mode", mode=self.mode, every_ms=self._every_ms, reason=reason))

    def _take_up(self, mode: Mode, every_ms: int) -> None:
        self.mode, self.every_ms = mode, every_ms
        if self._frames is not None:
            self._frames.pace.forget(time.monotonic())

    @property
    def _every_ms(self) -> int | None:
        return self.every_ms if self.mode is Mode.HYBRID else None

    async def _serve(self) -> None:
        hello = await self._receive_hello()
        self._hello, self.mode, self.wanted = hello, hello.mode, hello.mode
        if self._host.source.engine is None:
            self._outbox.put(to_text("starting", reason="the server loads its model, which takes some seconds"))
        if (refused := await self._host.enter(self)) is not None:
            self.reason = refused.reason
            self._outbox.put(to_text("refused", reason=refused.reason, offer=refused.offer))
            await self._outbox.close(CloseCode.REFUSED, refused.reason)
            return
        self.entered = True
        model = self._host.engine.model
        not_kept = await self._begin_keeping(hello, model) if self.row.keep else ""
        frames = self._frames = Frames(self._host, self.row.id, hello, self._outbox, self._break, self._kept)
        self._outbox.put(self._ready(model))
        if not_kept:
            self._tell_not_kept(not_kept)
        self._frame_s = time.monotonic()
        while True:
            message = await self._receive()
            match message:
                case Frame():
                    self._frame_s = self._received_s
                    frames.take(message, self._received_s, self.mode, self.every_ms)
                case Clock():
                    self._answer_clock(message)
                case ModeWish():
                    self._wish(message.mode)
                case Bye():
                    await self._say_bye(message, frames)
                    return
                case _:
                    raise BadMessage("`hello` comes once")

    async def _receive_hello(self) -> Hello:
        try:
            async with asyncio.timeout(HELLO_S):
                message = read_client(await self._socket.recv())
        except TimeoutError:
            raise BadMessage(f"no `hello` came within {HELLO_S:g} s") from None
        if not isinstance(message, Hello):
            raise BadMessage("the first message is `hello`")
        return message

    async def _receive(self) -> object:
        """The next message; raises what ends the session before it comes."""
        settings = self._host.settings
        over_s, idle_s = self.begun_s + settings.live_session_s, self._frame_s + settings.live_idle_s
        self._check_time(over_s, idle_s)  # also of whoever sends something else without end
        receiving: asyncio.Future[str | bytes] = asyncio.ensure_future(self._socket.recv())
        try:
            timeout_s = max(0.0, min(over_s, idle_s) - time.monotonic())
            waited: set[asyncio.Future[Any]] = {receiving, self._ended}
            await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if self._ended.done():
                raise self._ended.result()
            if receiving.done():
                received_s = time.monotonic()
                message = read_client(receiving.result())
                self._received_s = received_s
                self._texts.take(message, received_s)
                return message
        finally:
            receiving.cancel()
            await asyncio.wait([receiving])
        self._check_time(over_s, idle_s)
        raise AssertionError("nothing came, and no time was over")

    def _check_time(self, over_s: float, idle_s: float) -> None:
        settings, now_s = self._host.settings, time.monotonic()
        if now_s >= over_s:
            raise _Over(CloseCode.OVER, f"a session lasts {settings.live_session_s / 3600:g} h at most; begin another")
        if now_s >= idle_s:
            raise _Over(CloseCode.OVER, f"no frame came for {settings.live_idle_s:g} s")

    def _answer_clock(self, asked: Clock) -> None:
        received_ms = 1000 * self._received_s
        self._outbox.put(
            to_text("clock", sent_ms=asked.sent_ms, received_ms=received_ms, answered_ms=1000 * time.monotonic())
        )

    def _wish(self, mode: Mode) -> None:
        """Take up the mode that the client asks for, if there is room."""
        self.wanted = mode
        reason = "you asked for it"
        if mode is not self.mode:
            if mode is Mode.HYBRID or self._host.may_have(self, mode):
                self._take_up(mode, HYBRID_EVERY_MS)
            else:
                reason = "this server has no room for every frame of this session now; it begins when there is"
        self._outbox.put(to_text("mode", mode=self.mode, every_ms=self._every_ms, reason=reason))

    async def _say_bye(self, bye: Bye, frames: Frames) -> None:
        counts = frames.counts
        counts.captured, counts.dropped, counts.sent = bye.captured, bye.dropped, bye.sent
        await frames.answer_all(_LAST_RESULTS_S)
        self.reason = "the client ended it"
        kept = await self._finish_keeping()
        self._outbox.put(to_text("summary", **counts.of_server(), **(kept.to_dict() if self.row.keep else {})))
        await self._outbox.close(CloseCode.DONE, self.reason)

    async def _end(self, over: _Over) -> None:
        self.reason = over.reason
        self._outbox.put(to_text("ended", reason=over.reason))
        await self._outbox.close(over.code, over.reason)

    async def _leave(self) -> None:
        self._host.leave(self)
        if self._frames is not None:
            await self._frames.end()
        await self._finish_keeping()
        await self._outbox.stop()

    async def _begin_keeping(self, hello: Hello, model: PoseModel) -> str:
        """Begin to keep this session. Returns why that cannot be; empty where it can."""

        def tell(reason: str) -> None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._tell_not_kept, reason)

        try:
            self._kept = await asyncio.to_thread(self._host.keeper.begin, self.row, hello.codec, model, tell)
        except NotKept as error:
            log.warning("live_session_not_kept", session=str(self.row.id), reason=error.message)
            return error.message
        return ""

    def _tell_not_kept(self, reason: str) -> None:
        self._not_kept = self._not_kept or reason
        self._outbox.put(to_text("not_kept", reason=reason))

    async def _finish_keeping(self) -> Kept:
        """Have what was kept become a video, once."""
        kept, self._kept = self._kept, None
        if kept is None:
            return Kept(None, self._not_kept)
        return await asyncio.to_thread(self._host.keeper.finish, kept, End(self.counts.to_dict(), self.reason))

    def _ready(self, model: PoseModel) -> str:
        host = self._host
        return to_text(
            "ready",
            version=VERSION,
            session=str(self.row.id),
            mode=self.mode,
            model=model.spec.full_name,
            device=model.device.summary,
            keypoints=list(model.spec.keypoint_names),
            skeleton=[list(pair) for pair in model.spec.skeleton],
            credits=CREDITS,
            budget_ms=host.settings.live_budget_ms,
            call_ms=round(host.engine.call_ms, 2),
            every_ms=self._every_ms,
            **({"kept": self._kept is not None} if self.row.keep else {}),
        )

    def _note_slow(self) -> None:
        self.reason = "the client reads too slowly"

    def _break(self, reason: str) -> None:
        self.end(CloseCode.PROTOCOL, reason)
