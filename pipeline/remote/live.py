"""A live session from a program: the newest frame goes to the server when there is credit, and its poses come back.

`docs/live.md` has the protocol. Every captured frame has a fate: analysed, superseded, failed, dropped here before it
was encoded, or lost with the connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from pipeline.core.live_clock import ClockOffset
from pipeline.core.live_latency import Sent, trip_of
from pipeline.core.live_protocol import STARTING_S, BadMessage, Frame, Hello, Mode, read_object, to_text
from pipeline.core.live_results import Fate, Result
from pipeline.remote.live_fates import Fates
from pipeline.remote.live_frames import Answer, Captured, Encode, LiveEnded, LiveRefused, UnderWay

P = TypeVar("P")

_HELLO_S: Final = 30.0
_LAST_FRAME_S: Final = 2.0
_LAST_RESULTS_S: Final = 20.0
#: The first exchanges of clocks come quickly, one after the other.
_FIRST_CLOCKS, _CLOCK_S = 4, 1.0


class CameraSession(Generic[P]):
    """One session, from the camera's side. Everything is called in the event loop.

    Args:
        on_answer: called with each answer.
        on_starting: called with the reason where the server takes a while before it takes frames.

    Attributes:
        ready: the server's first message.
        fates: of the frames so far.
        summary: the server's count, after `end`.
        mode: that the server gives this session now.
        reason: why the session is over; empty while it is not.
        video: id of the video that it became; None where it was not to be kept, or was not.
        not_kept: why it was not kept, or not all of it; empty where it was.
    """

    def __init__(
        self,
        socket: ClientConnection,
        encode: Encode[P],
        on_answer: Callable[[Answer[P]], None],
        on_starting: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.ready: dict[str, Any] = {}
        self.fates = Fates()
        self.summary: dict[str, Any] | None = None
        self.mode = Mode.FULL
        self.reason = ""
        self.video: str | None = None
        self.not_kept = ""
        self.clock = ClockOffset()
        self.over = asyncio.Event()
        self._socket, self._encode, self._on_answer, self._on_starting = socket, encode, on_answer, on_starting
        self._newest: Captured[P] | None = None
        self._credits = 0
        self._needs_keyframe = True
        self._every_ms: float | None = None
        self._sent_s = -1e9
        self._under_way: dict[int, UnderWay[P]] = {}
        self._is_starting = self._ending = False
        self._failure: Exception | None = None
        self._changed, self._woken = asyncio.Event(), asyncio.Event()  # for `_until`, and for who sends
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, hello: Hello) -> None:
        """Say hello, and wait until frames may be sent.

        Raises:
            LiveRefused: the server has no room, and says what there is instead.
            LiveEnded: it ended the session, or the connection was lost.
        """
        await self._send(hello.to_text())
        within_s = _HELLO_S
        try:
            async with asyncio.timeout(within_s) as timeout:
                while not self.ready:
                    self._take(await self._socket.recv())
                    if self._is_starting and within_s == _HELLO_S:
                        within_s = _HELLO_S + STARTING_S
                        timeout.reschedule(asyncio.get_running_loop().time() + within_s)
                    if self.reason:
                        raise LiveEnded(self.reason)
        except ConnectionClosed as closed:
            raise LiveEnded(self.reason or _said(closed)) from closed
        except TimeoutError:
            raise LiveEnded(f"the server did not answer within {within_s:g} s; try again") from None
        self._tasks = [asyncio.create_task(each()) for each in (self._read, self._send_newest, self._ask_clock)]

    def capture(self, id_: int, picture: P, captured_ms: float, capture_ms: float) -> None:
        """Take a frame that was captured; it takes the place of one that still waits, which is dropped.

        Args:
            id_: larger than that of the frame before.
            captured_ms: when, by `time.monotonic` in ms.
            capture_ms: how long it took until it was here.
        """
        self.fates.captured += 1
        if self._newest is not None:
            self.fates.dropped += 1
        self._newest = Captured(id_, picture, captured_ms, capture_ms)
        self._woken.set()

    async def end(self) -> None:
        """Send what waits if it can be soon, say bye, and wait for what is due. What has no answer then was lost."""
        if self._tasks and not self.over.is_set() and not self._ending:
            fates = self.fates
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(_LAST_FRAME_S):
                    await self._until(lambda: self._newest is None)
            self._ending = True
            self._woken.set()
            await asyncio.wait(self._tasks[1:2], timeout=_LAST_FRAME_S)
            self._drop_newest()
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(_LAST_RESULTS_S):
                    await self._send(to_text("bye", captured=fates.captured, dropped=fates.dropped, sent=fates.sent))
                    await self.over.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._drop_newest()
        self.fates.lost = len(self._under_way)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _drop_newest(self) -> None:
        self.fates.dropped += self._newest is not None
        self._newest = None

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, or the session is over."""
        while not holds() and not self.over.is_set():
            self._changed.clear()
            await self._changed.wait()

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                self._take(message)
                self._changed.set()
                self._woken.set()
            self._over("" if self.summary else _closed(self._socket))
        except ConnectionClosed as closed:
            self._over(_said(closed))
        except BadMessage as error:
            self._over(f"the server does not keep to the protocol: {error}")
        except Exception as error:  # noqa: BLE001  the caller's, of what it does with an answer
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """End the session; `end` raises what was wrong."""
        self._failure = self._failure or error
        self._over(f"unexpected {type(error).__name__}: {error}")

    def _over(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.over.set()
        self._changed.set()
        self._woken.set()

    def _take(self, message: str | bytes) -> None:
        came_ms = 1000 * time.monotonic()
        if isinstance(message, bytes):
            self._take_result(Result.from_bytes(message), came_ms)
            return
        found = read_object(message)
        try:
            self._take_text(found, came_ms)
        except (KeyError, TypeError, ValueError) as error:
            raise BadMessage(f"`{found['type']}` lacks a field") from error

    def _take_text(self, found: Mapping[str, Any], came_ms: float) -> None:
        match found["type"]:
            case "ready":
                self.ready, self._credits = dict(found), int(found["credits"])
                self.mode, self._every_ms = Mode(found["mode"]), found["every_ms"]
            case "starting":
                self._is_starting = True
                self._on_starting(str(found["reason"]))
            case "refused":
                raise LiveRefused(str(found["reason"]), Mode(found["offer"]))
            case "clock":
                times = [float(found[name]) for name in ("sent_ms", "received_ms", "answered_ms")]
                self.clock.note(times[0], times[1], times[2], came_ms)
            case "keyframe":
                self._needs_keyframe = True
            case "mode":
                self.mode, self._every_ms = Mode(found["mode"]), found["every_ms"]
            case "ended":
                self.reason = str(found["reason"])
            case "not_kept":
                self.not_kept = str(found["reason"])
            case "summary":
                self.video = found.get("video")
                self.not_kept = str(found.get("not_kept") or self.not_kept)
                self.summary = {name: found[name] for name in ("received", "analysed", "superseded", "failed")}

    def _take_result(self, result: Result, came_ms: float) -> None:
        ours = self._under_way.pop(result.id, None)
        if ours is None:
            raise BadMessage(f"it sent a result of frame {result.id}, which has none to come")
        self._credits += 1
        name = result.fate.name.lower()
        setattr(self.fates, name, getattr(self.fates, name) + 1)
        offset_ms = self.clock.ms
        known = result.fate is Fate.ANALYSED and offset_ms is not None
        trip_ms = trip_of(ours.sent, result, came_ms, offset_ms or 0.0) if known else None
        self._on_answer(Answer(ours.picture, result, trip_ms))

    async def _send_newest(self) -> None:
        """Send the newest frame whenever there is credit. It is encoded only then: a frame that was encoded and not
        sent would be missing in those after it."""
        with suppress(ConnectionClosed):  # the reader says why
            while (captured := await self._next_due()) is not None:
                try:
                    await self._send_one(captured)
                except ConnectionClosed:
                    raise
                except Exception as error:  # noqa: BLE001  the caller's, of its encoder
                    self._fail(error)
                    return
                self._woken.set()

    async def _next_due(self) -> Captured[P] | None:
        """The newest frame, once it may be sent; None when there will be none."""
        while not self._ending and not self.over.is_set():
            wait_s = self._sent_s + (self._every_ms or 0) / 1000 - time.monotonic()
            if self._newest is not None and self._credits > 0 and wait_s <= 0:
                captured, self._newest = self._newest, None
                self._changed.set()
                return captured
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), wait_s if wait_s > 0 else None)
        return None

    async def _send_one(self, captured: Captured[P]) -> None:
        keyframe = self._needs_keyframe or self.mode is Mode.HYBRID
        self._needs_keyframe = False
        begun_ms = 1000 * time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            data, is_keyframe = await loop.run_in_executor(None, self._encode, captured.picture, keyframe)
        except BaseException:  # also where the session ended meanwhile
            self.fates.dropped += 1
            raise
        sent_ms = 1000 * time.monotonic()
        encode_ms = sent_ms - begun_ms
        frame = Frame(captured.id, is_keyframe, captured.captured_ms, captured.capture_ms, encode_ms, data)
        sent = Sent(captured.captured_ms, captured.capture_ms, encode_ms, sent_ms)
        self._under_way[frame.id] = UnderWay(captured.picture, sent)
        self.fates.sent += 1
        self._credits -= 1
        self._sent_s = begun_ms / 1000
        await self._socket.send(frame.to_bytes())

    async def _ask_clock(self) -> None:
        count = 0
        with suppress(ConnectionClosed):
            while True:
                await self._send(to_text("clock", sent_ms=1000 * time.monotonic()))
                count += 1
                await asyncio.sleep(_CLOCK_S / 10 if count < _FIRST_CLOCKS else _CLOCK_S)

    async def _send(self, text: str) -> None:
        await self._socket.send(text)


def _said(closed: ConnectionClosed) -> str:
    reason = closed.rcvd.reason if closed.rcvd is not None else ""
    return reason or "the connection to the server was lost; try again"


def _closed(socket: ClientConnection) -> str:
    return socket.close_reason or "the server ended the session"
