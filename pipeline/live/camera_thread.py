"""A session's thread that has its frames decoded, one after the other, and hands the pictures on.

A child that crashes, hangs or takes too much fails its frame and is replaced once; after the second the session ends.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.core.live_protocol import Codec, Frame, Hello
from pipeline.errors import PoselineError, Stopping, in_one_line
from pipeline.logs import get_logger
from pipeline.video.camera_decoder import CameraDecoder, NotDecoded, Picture

log = get_logger(__name__)

SESSION_OVER = "the session ended before it was analysed"


@dataclass(eq=False)
class Received:
    """A frame that was received, and how long each step took; times by `time.monotonic`.

    Args:
        received_s: when it came.
        decoded_s: when its picture was there; None before.
        size: width and height of that.
    """

    id: int
    captured_at_ms: float
    received_s: float
    decode_ms: float = 0.0
    waited_ms: float = 0.0
    decoded_s: float | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Listener:
    """Whom a camera's thread tells; each is called from that thread.

    Args:
        picture: a picture is there; `release` has to be called with it once it was read.
        superseded: a newer frame came before this one was decoded.
        failed: it gave no picture, with the reason.
        keyframe: the next frame has to be one, with the reason.
        broken: nothing can be decoded any more, with the reason.
    """

    picture: Callable[[Received, Picture, Callable[[], None]], None]
    superseded: Callable[[Received], None]
    failed: Callable[[Received, str], None]
    keyframe: Callable[[str], None]
    broken: Callable[[str], None]


class CameraThread(threading.Thread):
    """Decodes a session's frames. `take` and `end` are for one thread.

    Args:
        side: of the model's square, in pixels; None for whole pictures.
    """

    def __init__(self, hello: Hello, side: int | None, tell: Listener, *, replacements: int = 1) -> None:
        super().__init__(name="live-camera", daemon=True)
        self._hello = hello
        self._side = side
        self._tell = tell
        self._replacements = replacements
        self._inbox: queue.SimpleQueue[tuple[Received, Frame] | None] = queue.SimpleQueue()
        self._interrupted = threading.Event()
        self._decoder: CameraDecoder | None = None

    def take(self, received: Received, frame: Frame) -> None:
        """Decode a frame; as many are under way as the session has credits."""
        self._inbox.put((received, frame))

    def end(self) -> None:
        """End soon; what was not decoded fails."""
        self._interrupted.set()
        self._inbox.put(None)

    def run(self) -> None:
        try:
            while (item := self._inbox.get()) is not None and self._decode(*item):
                pass
            while not self._inbox.empty():
                if (item := self._inbox.get()) is not None:
                    self._tell.failed(item[0], SESSION_OVER)
        finally:
            if self._decoder is not None:
                self._decoder.close()

    def _decode(self, received: Received, frame: Frame) -> bool:
        """Decode one frame; returns whether to go on."""
        if self._hello.codec is Codec.JPEG and not self._inbox.empty():
            self._tell.superseded(received)
            return True
        begun_s = time.monotonic()
        received.waited_ms = 1000 * (begun_s - received.received_s)
        try:
            if self._decoder is None:
                size = (self._hello.width, self._hello.height)
                self._decoder = CameraDecoder(self._hello.codec, size, self._side, interrupted=self._interrupted)
            found = self._decoder.decode(frame.data, frame.id, keyframe=frame.keyframe)
        except Stopping:
            self._tell.failed(received, SESSION_OVER)
            return False
        except (PoselineError, OSError, EOFError) as error:  # whatever the child says or does
            return self._replace(received, error)
        received.decoded_s = time.monotonic()
        received.decode_ms = 1000 * (received.decoded_s - begun_s)
        if isinstance(found, NotDecoded):
            if found.needs_keyframe:  # told first: the result gives the credit for the next frame
                self._tell.keyframe(found.reason)
            self._tell.failed(received, found.reason)
            return True
        received.size = found.size
        decoder = self._decoder
        self._tell.picture(received, found, lambda: decoder.release(found))
        return True

    def _replace(self, received: Received, error: PoselineError | OSError | EOFError) -> bool:
        log.warning("live_decoder_ended", reason=in_one_line(error))
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        if not self._replacements:
            self._tell.failed(received, in_one_line(error))
            self._tell.broken(f"what this camera sends cannot be decoded: {in_one_line(error)}")
            return False
        self._replacements -= 1
        self._tell.keyframe("the decoder was started again")
        self._tell.failed(received, in_one_line(error))
        return True
