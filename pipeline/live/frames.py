"""The frames of one session: each that was received is decoded, waits, is analysed, and has one result.

Methods are for the event loop, but for those that the camera's thread and the engine call, which hand over to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.core.live_pace import Pace
from pipeline.core.live_protocol import BadMessage, Codec, Frame, Hello, Mode, to_text
from pipeline.core.live_results import Fate, Result
from pipeline.live.camera_thread import SESSION_OVER, CameraThread, Listener, Received
from pipeline.live.engine import Analysed, Job
from pipeline.video.camera_decoder import Picture

if TYPE_CHECKING:
    from pipeline.live.host import Host
    from pipeline.live.keeping import KeptSession

#: Frames that a client may have under way: one that is analysed, and the next.
CREDITS = 2


@dataclass
class Counts:
    """What became of a session's frames.

    Args:
        captured, dropped, sent: as the client counted them; None where it did not say.
    """

    received: int = 0
    analysed: int = 0
    superseded: int = 0
    failed: int = 0
    captured: int | None = None
    dropped: int | None = None
    sent: int | None = None

    def add(self, fate: Fate) -> None:
        """Count one more frame of that fate."""
        name = fate.name.lower()
        setattr(self, name, getattr(self, name) + 1)

    def of_server(self) -> dict[str, int]:
        """What came here, and what became of it."""
        return {name: getattr(self, name) for name in ("received", "analysed", "superseded", "failed")}

    def to_dict(self) -> dict[str, int]:
        """All that are known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Sender(Protocol):
    """Where messages to the client go."""

    def put(self, message: str | bytes) -> None:
        """Send one."""


class Frames:
    """The frames of a session.

    Args:
        session_id: of the session, for the engine.
        on_broken: called with the reason once nothing can be decoded any more.
        kept: where they are kept.
    """

    def __init__(
        self,
        host: Host,
        session_id: object,
        hello: Hello,
        sender: Sender,
        on_broken: Callable[[str], None],
        kept: KeptSession | None = None,
    ) -> None:
        self.counts = Counts()
        self.pace = Pace(hello.fps, time.monotonic())
        self._host = host
        self._session_id = session_id
        self._is_video = hello.codec is Codec.H264
        self._sender = sender
        self._kept = kept
        self._loop = asyncio.get_running_loop()
        self._open: dict[int, Received] = {}
        self._all_answered = asyncio.Event()
        self._last_id = -1
        self._skips_to_keyframe = False
        tell = Listener(
            picture=self._offer,
            superseded=lambda received: self._in_loop(lambda: self._settle(received, Fate.SUPERSEDED)),
            failed=self._fail,
            keyframe=lambda reason: self._in_loop(lambda: self._ask_keyframe(reason)),
            broken=lambda reason: self._in_loop(lambda: on_broken(reason)),
        )
        self._camera = CameraThread(hello, host.engine.model.spec.side_px, tell)
        self._camera.start()

    def take(self, frame: Frame, received_s: float, mode: Mode, every_ms: int) -> None:
        """Take a frame on.

        Args:
            received_s: when it came, by `time.monotonic`.
            mode, every_ms: of the session.

        Raises:
            BadMessage: its id does not rise, or there was no credit for it.
        """
        if frame.id <= self._last_id:
            raise BadMessage(f"frame {frame.id} comes after frame {self._last_id}: the ids of frames rise")
        if len(self._open) >= CREDITS:
            raise BadMessage(f"more frames are under way than there are credits ({CREDITS})")
        self._last_id = frame.id
        self.counts.received += 1
        received = self._open[frame.id] = Received(frame.id, frame.captured_at_ms, received_s)
        self._all_answered.clear()
        if self._kept is not None:
            self._kept.write_frame(frame)
        if not self.pace.has_room(received_s, mode, every_ms):
            self._skips_to_keyframe = self._is_video
            self._settle(received, Fate.SUPERSEDED)
        elif self._skips_to_keyframe and not frame.keyframe:
            self._ask_keyframe("frames before this one were left out")
            self._settle(received, Fate.SUPERSEDED)
        else:
            self._skips_to_keyframe = False
            self.pace.take(received_s)
            self._camera.take(received, frame)

    async def answer_all(self, within_s: float) -> None:
        """Wait until every frame has its result; what takes longer has failed."""
        if self._open:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._all_answered.wait()
        self._fail_open("it was not analysed in time")

    async def end(self) -> None:
        """End the camera's thread and its decoder. What has no result yet has failed."""
        self._camera.end()
        self._host.engine.withdraw(self._session_id)
        await asyncio.to_thread(self._camera.join)
        self._host.engine.withdraw(self._session_id)  # what it decoded last
        self._fail_open(SESSION_OVER)

    def _fail_open(self, reason: str) -> None:
        for received in list(self._open.values()):
            self._settle(received, Fate.FAILED, reason=reason)

    def _settle(self, received: Received, fate: Fate, analysed: Analysed | None = None, reason: str = "") -> None:
        """Answer a frame, once."""
        if self._open.pop(received.id, None) is None:
            return
        now_s = time.monotonic()
        self.counts.add(fate)
        self._host.note(received, fate, now_s)
        if self._kept is not None:
            self._kept.write_fate(received, fate, None if analysed is None else analysed.poses, reason)
        result = Result(
            id=received.id,
            fate=fate,
            captured_at_ms=received.captured_at_ms,
            received_at_ms=1000 * received.received_s,
            sent_at_ms=1000 * now_s,
            decode_ms=received.decode_ms,
            wait_ms=received.waited_ms,
            process_ms=0.0 if analysed is None else analysed.process_ms,
            batch=0 if analysed is None else analysed.batch,
            poses=None if analysed is None else analysed.poses,
            reason=reason,
        )
        self._sender.put(result.to_bytes())
        if not self._open:
            self._all_answered.set()

    def _ask_keyframe(self, reason: str) -> None:
        self._sender.put(to_text("keyframe", reason=reason))

    # What follows is called from the camera's thread and from those of the engine.

    def _offer(self, received: Received, picture: Picture, release: Callable[[], None]) -> None:
        def done(analysed: Analysed | None) -> None:
            release()
            assert received.decoded_s is not None
            until_s = time.monotonic() if analysed is None else analysed.begun_s
            received.waited_ms += 1000 * (until_s - received.decoded_s)
            if analysed is None:
                self._in_loop(lambda: self._settle(received, Fate.SUPERSEDED))
            elif analysed.poses is None:
                self._fail(received, analysed.reason)
            else:
                self._in_loop(lambda: self._settle(received, Fate.ANALYSED, analysed))

        self._host.engine.offer(Job(self._session_id, picture.image, picture.scale, done))

    def _fail(self, received: Received, reason: str) -> None:
        self._in_loop(lambda: self._settle(received, Fate.FAILED, reason=reason))

    def _in_loop(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            self._loop.call_soon_threadsafe(call)
