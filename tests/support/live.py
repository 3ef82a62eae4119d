"""A client of the live protocol for tests, and cameras whose frames have their numbers painted in.

`LiveClient` counts what it sends and what came of it, as every client has to; it can also send what no client should.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, Protocol
from uuid import UUID

import av
import cv2
from av.video.codeccontext import VideoCodecContext
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from pipeline.core.live_protocol import MAX_MESSAGE_BYTES, Codec, Frame, Hello, to_text
from pipeline.core.live_results import Fate, Result
from pipeline.db.engine import transaction
from pipeline.db.live_processes import select_processes
from pipeline.local.ports import choose
from pipeline.services.system import System
from pipeline.settings import Settings
from tests.support.analysis import MODEL
from tests.support.harness import Processes, wait_until
from tests.support.oracle_maker import LYING, read_pose
from tests.support.video_maker import paint


@dataclass
class LiveClient:
    """A client of one live session.

    Attributes:
        ready: the server's first message.
        texts: its other text messages, but for clocks.
        results: of frames, by id, in the order in which they came.
        credits: frames that may be sent now.
        sent: frames that were sent, by id, when, by `time.monotonic`.
        refused: why the session was not let in, with `offer`.
        closed: code and reason, once the connection is closed.
    """

    socket: ClientConnection
    ready: dict[str, Any] = field(default_factory=dict)
    texts: list[dict[str, Any]] = field(default_factory=list)
    results: dict[int, Result] = field(default_factory=dict)
    sent: dict[int, float] = field(default_factory=dict)
    captured: int = 0
    credits: int = 0
    needs_keyframe: bool = False
    refused: dict[str, Any] | None = None
    summary: dict[str, Any] | None = None
    closed: tuple[int, str] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def begin(self, hello: Hello | str) -> LiveClient:
        """Say hello and wait for the answer: `ready`, `refused`, or the end."""
        await self.socket.send(hello if isinstance(hello, str) else hello.to_text())
        self._task = asyncio.create_task(self._read())
        await self.until(lambda: self.ready or self.refused or self.closed)
        return self

    async def until(self, holds: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Wait until something holds of this client; each message has it looked at again."""
        async with asyncio.timeout(timeout_s):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def send(self, number: int, data: bytes, *, keyframe: bool = True, id_: int | None = None) -> None:
        """Send a frame without asking for credit; its capture time is its number in ms."""
        id_ = number if id_ is None else id_
        self.sent[id_] = time.monotonic()
        self.credits -= 1
        await self.socket.send(Frame(id_, keyframe, float(number), 1.0, 2.0, data).to_bytes())

    async def stream(self, camera: Camera, numbers: Iterable[int], *, fps: float = 30.0) -> None:
        """Send frames at their rate, as a camera does. While there is no credit they are dropped, before they are
        encoded: what was encoded and not sent would be missing in the pictures after it."""
        next_s = time.monotonic()
        for number in numbers:
            next_s += 1 / fps
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))
            if self.closed is not None:
                return
            self.captured += 1
            if self.credits > 0:
                await self.send_one(camera, number)

    async def send_all(self, camera: Camera, numbers: Iterable[int]) -> None:
        """Send every frame, each as soon as there is credit for it."""
        for number in numbers:
            await self.until(lambda: self.credits > 0 or self.closed)
            if self.closed is not None:
                return
            self.captured += 1
            await self.send_one(camera, number)

    async def send_one(self, camera: Camera, number: int) -> None:
        """Encode a frame, as a keyframe if the server has asked for one, and send it."""
        data, keyframe = camera.encode(number, keyframe=self.needs_keyframe)
        self.needs_keyframe = self.needs_keyframe and not keyframe
        await self.send(number, data, keyframe=keyframe)

    async def bye(self) -> dict[str, Any]:
        """End the session; returns the server's summary."""
        await self.socket.send(
            to_text("bye", captured=self.captured, dropped=self.captured - len(self.sent), sent=len(self.sent))
        )
        await self.until(lambda: self.closed)
        assert self.summary is not None, (self.texts, self.closed)
        return self.summary

    async def answered(self) -> None:
        """Wait until every frame that was sent has its result."""
        await self.until(lambda: len(self.results) == len(self.sent) or self.closed)

    def fates(self) -> dict[str, int]:
        """Results by fate, as `summary` has them."""
        return {
            "received": len(self.results),
            **{fate.name.lower(): sum(1 for r in self.results.values() if r.fate is fate) for fate in Fate},
        }

    def kinds(self) -> list[str]:
        """The types of the text messages so far."""
        return [text["type"] for text in self.texts]

    async def lose(self) -> None:
        """Lose the connection without a word."""
        self.socket.transport.abort()
        await self.until(lambda: self.closed)

    async def _read(self) -> None:
        try:
            async for message in self.socket:
                self._take(message)
                self._changed.set()
        except ConnectionClosed:
            pass
        received = self.socket.protocol.close_rcvd
        self.closed = (received.code, received.reason) if received else (1006, "")
        self._changed.set()

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            result = Result.from_bytes(message)
            assert result.id in self.sent, f"a result of frame {result.id}, which was not sent"
            assert result.id not in self.results, f"frame {result.id} has two results"
            self.results[result.id] = result
            self.credits += 1
            return
        found = json.loads(message)
        match found["type"]:
            case "ready":
                self.ready, self.credits = found, found["credits"]
            case "refused":
                self.refused = found
            case "summary":
                self.summary = found
            case "keyframe":
                self.needs_keyframe = True
                self.texts.append(found)
            case _:
                self.texts.append(found)


@asynccontextmanager
async def live_client(
    origin: str, team_id: UUID, headers: Mapping[str, str], **options: Any
) -> AsyncIterator[LiveClient]:
    """A connection to the live endpoint of a team; `begin` is for the test to call."""
    url = f"{origin.replace('http', 'ws', 1)}/api/v1/teams/{team_id}/live"
    options = {"compression": None, "max_size": MAX_MESSAGE_BYTES, "proxy": None, "ping_interval": None, **options}
    async with connect(url, additional_headers=dict(headers), **options) as socket:
        client = LiveClient(socket)
        try:
            yield client
        finally:
            if client._task is not None:
                client._task.cancel()
                await asyncio.wait([client._task])


#: The environment of a live process whose model is the oracle, once `put_oracle` has put it there.
ORACLE = {"POSELINE_LIVE_MODEL": MODEL}


@contextmanager
def live_process(
    processes: Processes, system: System, *args: str, settings: Settings | None = None, **more: str
) -> Iterator[Any]:
    """A real `poseline live` on a free port, once it takes sessions."""
    port = choose([])
    process = processes.start("live", "--port", str(port), "--device", "cpu", *args, settings=settings, **more)

    def there() -> bool:
        assert process.poll() is None, processes.output()
        with transaction(system.engine) as connection:
            return any(row.url.endswith(f":{port}") for row in select_processes(connection))

    wait_until(there, 60, "the live process")
    yield process


class Camera(Protocol):
    """What gives numbered pictures."""

    def encode(self, number: int, *, keyframe: bool = False) -> tuple[bytes, bool]:
        """One frame, and whether it is a keyframe; it has to be one where that is asked for."""


class JpegCamera:
    """Gives JPEGs with numbers painted in."""

    def __init__(self, width: int = LYING[0], height: int = LYING[1]) -> None:
        self._size = (width, height)

    def encode(self, number: int, *, keyframe: bool = False) -> tuple[bytes, bool]:  # noqa: ARG002  each is one
        """One JPEG."""
        return jpeg(number, *self._size), True


@cache
def jpeg(number: int, width: int = LYING[0], height: int = LYING[1]) -> bytes:
    """A JPEG with the number painted in."""
    done, data = cv2.imencode(".jpg", paint(number, width, height), [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return bytes(data)


class H264Camera:
    """Encodes numbered pictures as a browser does in real time: no B-frames, no look-ahead, SPS and PPS in band."""

    def __init__(self, width: int = LYING[0], height: int = LYING[1], gop: int = 30) -> None:
        self._size = (width, height)
        self._gop = gop
        self._context: VideoCodecContext | None = None
        self._at = 0

    def encode(self, number: int, *, keyframe: bool = False) -> tuple[bytes, bool]:
        """One access unit, and whether it is a keyframe."""
        if self._context is None or keyframe:
            self._context = self._open()
        frame = av.VideoFrame.from_ndarray(paint(number, *self._size), format="bgr24")
        frame.pts = self._at
        self._at += 1
        packets = self._context.encode(frame)
        assert len(packets) == 1
        return bytes(packets[0]), bool(packets[0].is_keyframe)

    def _open(self) -> VideoCodecContext:
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height = self._size
        context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 30)
        context.options = {"preset": "veryfast", "tune": "zerolatency", "g": str(self._gop), "crf": "12"}
        return context


def number_of(result: Result, width: int = LYING[0], height: int = LYING[1]) -> int:
    """The number that the oracle read in the picture of a result."""
    assert result.fate is Fate.ANALYSED, result
    assert result.poses is not None
    assert len(result.poses) == 1, result
    return read_pose(result.poses.keypoints[0], width, height)


def hello(codec: Codec = Codec.JPEG, **more: Any) -> Hello:
    """The hello of a camera of numbered pictures."""
    return Hello(codec, *LYING, **more)
