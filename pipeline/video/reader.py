"""The entry to video decoding for the rest of Poseline: `probe` indexes a video, `VideoReader` decodes its frames.

FFmpeg is not trusted. Every upload is parsed in a child process of its own without credentials, network, files or
privileges, under hard limits. The worker serves it the bytes and gets frames back through shared memory, decoded ahead
of the caller. A crash, a hang or a decompression bomb is one `DecodeFailed` here. Safe to use from several threads.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from pipeline.core.frame_index import FrameIndex
from pipeline.core.letterbox import Image, scale_to
from pipeline.core.video_limits import VideoLimits
from pipeline.errors import OwnPreview, VideoRejected
from pipeline.video import wire, zygote_client
from pipeline.video.decode_request import DecodeRequest, RequestKind
from pipeline.video.decoder_process import DecoderProcess, protocol_error
from pipeline.video.frame_pool import FramePool, batch_for, create_pool, slots_for
from pipeline.video.growing_copy import GrowingCopy
from pipeline.video.source import ByteSource
from pipeline.video.wire import RecordKind

__all__ = ["Frame", "VideoInfo", "VideoReader", "probe", "start_decoder"]


@dataclass(frozen=True)
class VideoInfo:
    """What a probe finds.

    Args:
        index: every frame that one pass of the decoder gives.
        width: as displayed, in square pixels, after rotation, mirroring and pixel aspect. Every decoded frame has
            this size, also where the stored size changes in mid-stream.
        height: likewise.
        rotation_deg: 0, 90, 180 or 270: the clockwise rotation from the stored to the displayed image.
        codec: FFmpeg's name, such as `h264`.
        container: FFmpeg's name, such as `mov,mp4,m4a,3gp,3g2,mj2`.
        notes: what the uploader should know about this file, a sentence each.
    """

    index: FrameIndex
    width: int
    height: int
    rotation_deg: int
    codec: str
    container: str
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame.

    Args:
        number: its place in the index.
        pts: in the index's time base.
        image: uint8 `(height, width, 3)` BGR, read-only, as displayed. A view of shared memory: valid until the caller
            asks for the `batch`-th frame after this one.
        scale: letterbox scale, 1.0 without one.
    """

    number: int
    pts: int
    image: Image
    scale: float


def start_decoder() -> None:
    """Load the decoder's libraries in its own process, before the first video needs it."""
    zygote_client.zygote()


def probe(
    source: ByteSource,
    limits: VideoLimits,
    *,
    interrupted: threading.Event | None = None,
    on_tick: Callable[[], None] | None = None,
    rest_s: Callable[[float], float] | None = None,
) -> VideoInfo:
    """Index a video.

    Args:
        interrupted: `Stopping` is raised once it is set.
        on_tick: called about twice a second while the child makes progress.
        rest_s: asked about ten times a second: for how long the child is to rest after so many seconds of work.

    Raises:
        VideoRejected: the video cannot be analysed; the message is for the person who uploaded it.
        OwnPreview: Poseline drew it.
        DecodeFailed: the child crashed, hung, or exceeded a limit.
        Stopping: `interrupted` was set.
        Exception: what `source.read_at` raises, unchanged.
    """
    payload, rows = _ask(source, limits, wants_index=True, interrupted=interrupted, on_tick=on_tick, rest_s=rest_s)
    try:
        return _read_info(payload, rows, limits)
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise protocol_error(str(error)) from error


def check(source: ByteSource, limits: VideoLimits, *, interrupted: threading.Event | None = None) -> None:
    """Check that a video can be analysed, without indexing it, in about half of the time for a short one.

    It passes videos that `probe` rejects for what only the frames of the whole video show.

    Raises: what `probe` raises.
    """
    _ask(source, limits, wants_index=False, interrupted=interrupted)


def _ask(source: ByteSource, limits: VideoLimits, *, wants_index: bool, **more: Any) -> tuple[bytes, bytearray]:
    """A child's answer to a probe: what the video says of itself as JSON, and the rows of its index. `more` is for
    `DecoderProcess`."""
    if not source.size_bytes:
        raise VideoRejected("This file is empty; upload it again.")
    copy_fd = source.open_for_child() if isinstance(source, GrowingCopy) else None
    request = DecodeRequest(
        RequestKind.PROBE, limits, source.size_bytes, wants_index=wants_index, has_copy=copy_fd is not None
    )
    rows = bytearray()
    try:
        process = DecoderProcess(source, request, copy_fd=copy_fd, **more)
    finally:
        if copy_fd is not None:
            os.close(copy_fd)
    with process:
        while (record := process.receive())[0] is RecordKind.INDEX:
            if not record[1]:
                raise protocol_error("an empty record of index rows")
            rows += record[1]
            if len(rows) > limits.max_frames * wire.INDEX_ROW.itemsize:
                raise protocol_error("more index rows than frames are allowed")
    kind, payload = record
    if kind is RecordKind.OWN_PREVIEW:
        raise OwnPreview
    if kind is not RecordKind.INFO:
        raise protocol_error(f"{kind.name} in answer to a probe")
    return payload, rows


@dataclass(frozen=True, eq=False)
class VideoReader:
    """Decodes frames of one video, each call of `frames` in a child process of its own.

    Args:
        source: the video's bytes.
        index: from `VideoInfo.index`.
        size: width and height as displayed, from `VideoInfo.size`.
        limits: for the child.
    """

    source: ByteSource
    index: FrameIndex
    size: tuple[int, int]
    limits: VideoLimits

    def batch_within(self, side: int | None, wanted: int) -> int:
        """The largest batch up to `wanted` (halved as needed) whose frames fit into the shared memory of one child."""
        return batch_for(self._shape(side), wanted)

    def frames(
        self,
        first: int,
        stop: int,
        side: int | None = None,
        *,
        batch: int = 1,
        interrupted: threading.Event | None = None,
        on_tick: Callable[[], None] | None = None,
    ) -> Generator[Frame, None, None]:
        """Decode the frames `[first, stop)`. Closing the iterator ends the child.

        Args:
            side: letterbox into a square of that many pixels; None for the whole image.
            batch: how many frames the caller holds at once.
            interrupted: `Stopping` is raised once it is set.
            on_tick: called about twice a second while the child makes progress, also when no frame comes.

        Yields:
            Frames in rising order of their number, each at most once. A frame that the decoder does not give is left
            out.

        Raises:
            DecodeFailed: the child crashed, hung, exceeded a limit, or cannot open the video.
            Stopping: `interrupted` was set.
            Exception: what `source.read_at` raises, unchanged.
        """
        if first >= stop:
            return
        index, shape, slots = self.index, self._shape(side), slots_for(batch)
        keys = np.arange(first, stop) if index.indexed_by_position else index.pts[first:stop]
        start = index.start_of(first)
        scale = 1.0 if side is None else scale_to(side, self.size[1], self.size[0])
        request = DecodeRequest(
            RequestKind.DECODE,
            self.limits,
            self.source.size_bytes,
            size=self.size,
            side=side,
            slots=slots,
            indexed_by_position=index.indexed_by_position,
            seek_pts=int(index.pts[start]),
            seek_bytes=int(index.position_bytes[start]),
            needed_bytes=index.byte_range(start, stop),
        )
        pool_fd = create_pool(shape, slots)
        try:
            pool = FramePool(pool_fd, shape, slots, writable=False)
            process = DecoderProcess(
                self.source, request, keys=keys, pool_fd=pool_fd, interrupted=interrupted, on_tick=on_tick
            )
        finally:
            os.close(pool_fd)
        next_at = 0
        held_slots: deque[int] = deque()
        with process:
            while (record := process.receive())[0] is not RecordKind.END:
                key, slot, image = _read_frame(record, pool)
                at = next_at + int(np.searchsorted(keys[next_at:], key))
                if at >= len(keys) or keys[at] != key:
                    raise protocol_error(f"frame {key} was not requested, or is out of order")
                next_at = at + 1
                yield Frame(first + at, int(index.pts[first + at]), image, scale)
                del image
                held_slots.append(slot)
                if len(held_slots) == batch:
                    process.release(held_slots.popleft())

    def _shape(self, side: int | None) -> tuple[int, int]:
        """Height and width of the frames."""
        return (self.size[1], self.size[0]) if side is None else (side, side)


def _read_frame(record: tuple[RecordKind, bytes], pool: FramePool) -> tuple[int, int, Image]:
    kind, payload = record
    if kind is not RecordKind.FRAME or len(payload) != wire.FRAME.size:
        raise protocol_error(f"{kind.name} instead of a frame")
    key, slot = wire.FRAME.unpack(payload)
    try:
        return key, slot, pool.image(slot)
    except ValueError as error:
        raise protocol_error(str(error)) from error


def _read_info(payload: bytes, rows_bytes: bytearray, limits: VideoLimits) -> VideoInfo:
    """Read and check a probe's answer: the child is as untrusted as the video.

    Raises:
        ValueError: a value is out of bounds.
    """
    rows = np.frombuffer(rows_bytes, dtype=wire.INDEX_ROW)
    info = json.loads(payload)
    time_base = Fraction(*map(int, info["time_base"]))
    width, height = int(info["width"]), int(info["height"])
    if not (len(rows) and width > 0 and height > 0 and width * height <= limits.max_pixels):
        raise ValueError(f"{len(rows)} frames of {width} x {height}")
    if time_base <= 0 or max(time_base.as_integer_ratio()) >= 2**31:
        raise ValueError(f"a time base of {time_base}")
    index = FrameIndex(
        time_base=time_base,
        pts=rows["pts"],
        keyframe=rows["keyframe"].astype(np.bool_),
        position_bytes=rows["position"],
        size_bytes=rows["size"],
        indexed_by_position=bool(info["indexed_by_position"]),
    )
    return VideoInfo(
        index=index,
        width=width,
        height=height,
        rotation_deg=int(info["rotation_deg"]) % 360,
        codec=_printable(info["codec"])[:64],
        container=_printable(info["container"])[:64],
        notes=tuple(_printable(note)[:200] for note in info["notes"][:10]),
    )


def _printable(text: object) -> str:
    """The text without control characters, which a terminal would obey and PostgreSQL may refuse."""
    return "".join(c for c in str(text) if c.isprintable())
