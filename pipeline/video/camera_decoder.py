"""One live camera's decoder: what the camera sends goes to a sandboxed child, pictures come back in shared memory.

The caller says into which slot a picture goes, so a slot that is being read is never written to by an honest child; a
compromised one can only spoil the pictures of its own camera.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from pipeline.core.letterbox import Image, scale_to
from pipeline.core.live_protocol import MAX_PIXELS
from pipeline.core.video_limits import VideoLimits
from pipeline.video import wire
from pipeline.video.decode_request import DecodeRequest, RequestKind
from pipeline.video.decoder_process import DecoderProcess, protocol_error
from pipeline.video.frame_pool import FramePool, create_pool
from pipeline.video.wire import RecordKind

#: One picture is being decoded, one waits, one is being analysed, and one more while a newer takes its place.
SLOTS = 4
#: For a camera's child: 4K takes 0.2 GiB, a frame some milliseconds.
CAMERA_LIMITS = VideoLimits(
    max_pixels=MAX_PIXELS, max_cpu_s_per_frame=2.0, stall_s=10.0, memory_bytes=512 * 2**20, cpu_s=8 * 3600
)
_CODECS = {"h264": "h264", "jpeg": "mjpeg"}


@dataclass(frozen=True)
class Picture:
    """A decoded frame.

    Args:
        image: uint8 BGR, read-only: `(side, side, 3)`, or the whole picture without one.
        scale: pixels of the image per pixel of the picture as it was sent.
        slot: to be released once nobody reads the image.
        size: width and height as it was sent, upright.
    """

    image: Image
    scale: float
    slot: int
    size: tuple[int, int]


@dataclass(frozen=True)
class NotDecoded:
    """Why a frame gave no picture.

    Args:
        needs_keyframe: whether those that follow cannot be decoded until a keyframe comes.
    """

    reason: str
    needs_keyframe: bool


class CameraDecoder:
    """A camera's child. `decode` is for one thread, `release` for any.

    Args:
        codec: `h264` or `jpeg`.
        size: of the camera's frames; a later one may have another, if `side` is given.
        side: letterbox into a square of that many pixels; None for the whole picture.
        interrupted: `Stopping` is raised once it is set.

    Raises:
        DecoderUnavailable: no child could be started.
    """

    def __init__(
        self,
        codec: str,
        size: tuple[int, int],
        side: int | None,
        *,
        limits: VideoLimits = CAMERA_LIMITS,
        interrupted: threading.Event | None = None,
    ) -> None:
        self._side = side
        self._lock = threading.Lock()
        self._free = list(range(SLOTS))
        shape = (size[1], size[0]) if side is None else (side, side)
        pool_fd = create_pool(shape, SLOTS)
        try:
            self._pool = FramePool(pool_fd, shape, SLOTS, writable=False)
            request = DecodeRequest(
                RequestKind.CAMERA, limits, 0, size=size, side=side, slots=SLOTS, codec=_CODECS[codec]
            )
            self._process = DecoderProcess(_Nothing(), request, pool_fd=pool_fd, interrupted=interrupted)
        finally:
            os.close(pool_fd)

    def decode(self, data: bytes, frame_id: int, *, keyframe: bool) -> Picture | NotDecoded:
        """Decode the next frame.

        Raises:
            Stopping: `interrupted` was set.
            DecodeFailed: the child crashed, hung, or exceeded a limit; it is of no more use.
            DecoderUnavailable: the process that starts children ended.
        """
        with self._lock:
            slot = self._free.pop()
        try:
            self._process.send(RecordKind.PACKET, wire.PACKET.pack(frame_id, keyframe, slot) + data)
            found = self._read(*self._process.receive(), frame_id, slot)
        except BaseException:
            self._release(slot)
            raise
        if isinstance(found, NotDecoded):
            self._release(slot)
        return found

    def release(self, picture: Picture) -> None:
        """Give back the slot of a picture that nobody reads any more."""
        self._release(picture.slot)

    def close(self) -> None:
        """End the child."""
        self._process.close()

    def _read(self, kind: RecordKind, payload: bytes, frame_id: int, slot: int) -> Picture | NotDecoded:
        if kind is RecordKind.PICTURE and len(payload) == wire.PICTURE.size:
            answered_id, width, height = wire.PICTURE.unpack(payload)
            if answered_id == frame_id and width and height:
                scale = 1.0 if self._side is None else scale_to(self._side, height, width)
                return Picture(self._pool.image(slot), scale, slot, (width, height))
        elif kind is RecordKind.NO_PICTURE and len(payload) >= wire.NO_PICTURE.size:
            answered_id, needs_keyframe = wire.NO_PICTURE.unpack_from(payload)
            if answered_id == frame_id:
                text = payload[wire.NO_PICTURE.size :].decode("utf-8", "replace")
                return NotDecoded("".join(c if c.isprintable() else " " for c in text), bool(needs_keyframe))
        raise protocol_error(f"{kind.name} of {len(payload)} bytes instead of the answer to frame {frame_id}")

    def _release(self, slot: int) -> None:
        with self._lock:
            self._free.append(slot)


class _Nothing:
    """A camera has no file behind it."""

    size_bytes = 0

    def read_at(self, offset: int, size: int) -> bytes:
        raise EOFError(f"a camera has no bytes at {offset} to {offset + size}")
