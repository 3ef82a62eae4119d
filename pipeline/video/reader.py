"""Video in, frames out, and FFmpeg on the other side of a wall. The only way in for the rest of Poseline.

Every upload is parsed in a child process of its own without credentials, network, files or privileges, under hard
limits; the bytes are served to it, and pictures come back through shared memory, decoded ahead of the caller. A
crash, a hang or a bomb is one `DecodeFailed` here. Safe to use from several threads at once.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pipeline.core.frame_index import FrameIndex
from pipeline.core.letterbox import Image, scale_to
from pipeline.core.video_limits import VideoLimits
from pipeline.errors import VideoRejected
from pipeline.video import wire
from pipeline.video.decoder_process import Job, protocol_broken
from pipeline.video.frame_pool import FramePool, batch_for, create_pool, slots_for
from pipeline.video.source import ByteSource
from pipeline.video.wire import Kind

__all__ = ["Frame", "VideoInfo", "batch_within", "iter_frames", "probe"]


@dataclass(frozen=True)
class VideoInfo:
    """What ingest learns of a video.

    Args:
        index: every frame that one pass of the decoder gives.
        width: in square pixels as displayed: turned, mirrored and stretched as the file asks. Every frame has this
            size, also where that of the stored pictures changes in mid-stream.
        height: likewise.
        rotation_deg: 0, 90, 180 or 270, by which stored pictures are turned clockwise for display.
        codec: FFmpeg's name, such as `h264`.
        container: FFmpeg's name, such as `mov,mp4,m4a,3gp,3g2,mj2`.
        notes: what a person should know of this file, a sentence each.
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
    """One picture.

    Args:
        number: in the index.
        pts: in the index's time base.
        image: uint8 `(h, w, 3)` BGR, read-only, upright; a view of shared memory that holds this frame only until
            the next one is asked for, or with `batch` so many later.
        scale: by which it was letterboxed, 1.0 if it was not.
    """

    number: int
    pts: int
    image: Image
    scale: float


def probe(
    source: ByteSource,
    limits: VideoLimits,
    *,
    interrupted: threading.Event | None = None,
    on_tick: Callable[[], None] | None = None,
) -> VideoInfo:
    """Index a video.

    Args:
        interrupted: set it to have `Stopping` raised.
        on_tick: told about twice a second that the child is at work.

    Raises:
        VideoRejected: it cannot be analysed; the line is for the person who uploaded it.
        DecodeFailed: the child crashed, hung, or went over a limit.
        Stopping: `interrupted` was set.
        Exception: what `source.read_at` raises, unchanged.
    """
    if not source.size_bytes:
        raise VideoRejected("This file is empty; upload it again.")
    rows = bytearray()
    with Job(source, limits, interrupted=interrupted, on_tick=on_tick) as job:
        while (record := job.receive())[0] is Kind.INDEX:
            if not record[1]:
                raise protocol_broken("an empty piece of the index")
            rows += record[1]
            if len(rows) > limits.max_frames * wire.INDEX_ROW.itemsize:
                raise protocol_broken("more index rows than frames are allowed")
    kind, payload = record
    if kind is not Kind.INFO:
        raise protocol_broken(f"{kind.name} for a probe")
    try:
        return _read_info(payload, rows, limits)
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise protocol_broken(str(error)) from error


def batch_within(size: tuple[int, int], side: int | None, wanted: int) -> int:
    """How many pictures a caller of `iter_frames` should hold at once who would like to hold `wanted`."""
    return batch_for((size[1], size[0]) if side is None else (side, side), wanted)


def iter_frames(
    source: ByteSource,
    *,
    index: FrameIndex,
    first: int,
    stop: int,
    size: tuple[int, int],
    limits: VideoLimits,
    side: int | None,
    batch: int = 1,
    interrupted: threading.Event | None = None,
    on_tick: Callable[[], None] | None = None,
) -> Iterator[Frame]:
    """Decode the frames `[first, stop)` of a video. Closing the iterator ends the child.

    Args:
        size: width and height of the video as displayed, from `VideoInfo.size`.
        side: letterbox into a square of so many pixels; None for the whole picture.
        batch: how many pictures the caller holds at once.
        interrupted: set it to have `Stopping` raised.
        on_tick: told about twice a second that the child is at work, though no frame comes.

    Yields:
        Frames by rising number, each at most once, and only those that the decoder gave: what is not among them is
        missing.

    Raises:
        DecodeFailed: the child crashed, hung, went over a limit, or cannot open the video.
        Stopping: `interrupted` was set.
        Exception: what `source.read_at` raises, unchanged.
    """
    if first >= stop:
        return
    keys = np.arange(first, stop) if index.counted else index.pts[first:stop]
    start = index.start_of(first)
    shape = (size[1], size[0]) if side is None else (side, side)
    scale = 1.0 if side is None else scale_to(side, size[1], size[0])
    spec = {
        "counted": index.counted,
        "seek_pts": int(index.pts[start]),
        "seek_bytes": int(index.position_bytes[start]),
        "needed": index.byte_range(start, stop),
        "size": size,
        "side": side,
        "slots": slots_for(batch),
    }
    pool_fd = create_pool(shape, slots_for(batch))
    try:
        ring = FramePool(pool_fd, shape, slots_for(batch), writable=False)
        job = Job(source, limits, interrupted=interrupted, on_tick=on_tick, pool_fd=pool_fd, wanted=keys, **spec)
    finally:
        os.close(pool_fd)
    next_at = 0
    held: deque[int] = deque()
    with job:
        while (record := job.receive())[0] is not Kind.END:
            key, slot, image = _read_frame(record, ring)
            at = next_at + int(np.searchsorted(keys[next_at:], key))
            if at >= len(keys) or keys[at] != key:
                raise protocol_broken(f"frame {key} out of turn")
            next_at = at + 1
            yield Frame(first + at, int(index.pts[first + at]), image, scale)
            del image
            held.append(slot)
            if len(held) == batch:
                job.release(held.popleft())


def _read_frame(record: tuple[Kind, bytes], ring: FramePool) -> tuple[int, int, Image]:
    kind, payload = record
    if kind is not Kind.FRAME or len(payload) != wire.FRAME.size:
        raise protocol_broken(f"{kind.name} for a frame")
    key, slot = wire.FRAME.unpack(payload)
    try:
        return key, slot, ring.picture(slot)
    except ValueError as error:
        raise protocol_broken(str(error)) from error


def _read_info(payload: bytes, rows_bytes: bytearray, limits: VideoLimits) -> VideoInfo:
    """What a probe said; a child is not believed what cannot be.

    Raises:
        ValueError: out of bounds.
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
        counted=bool(info["counted"]),
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
    """Text that a row and a terminal can take."""
    return "".join(c for c in str(text) if c.isprintable())
