"""Video in, frames out, and FFmpeg on the other side of a wall. The only way in for the rest of Poseline.

Every upload is parsed in a child process of its own without credentials, network, files or privileges, under hard
limits; the bytes are served to it, and pictures come back through shared memory, decoded ahead of the caller. A
crash, a hang or a bomb is one `DecodeFailed` here. Safe to use from several threads at once.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from pipeline.core.spans import FrameIndex
from pipeline.errors import VideoRejected
from pipeline.video import wire
from pipeline.video.job import Job, protocol_broken
from pipeline.video.letterbox import Image
from pipeline.video.limits import Limits
from pipeline.video.ring import Ring, make_ring
from pipeline.video.source import ByteSource
from pipeline.video.wire import Kind

__all__ = ["Frame", "Limits", "VideoInfo", "iter_frames", "probe"]


@dataclass(frozen=True)
class VideoInfo:
    """What ingest learns of a video.

    Args:
        index: every frame that one pass of the decoder gives.
        width: in pixels as displayed, with the rotation applied. Pixels count as square.
        height: likewise.
        rotation_deg: 0, 90, 180 or 270, by which stored pictures are turned clockwise for display.
        codec: FFmpeg's name, such as `h264`.
        container: FFmpeg's name, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    """

    index: FrameIndex
    width: int
    height: int
    rotation_deg: int
    codec: str
    container: str


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture.

    Args:
        pts: in the index's time base.
        image: uint8 `(h, w, 3)` BGR, read-only, upright; a view of shared memory that holds this frame only until
            the next one is asked for.
        scale: by which it was letterboxed, 1.0 if it was not.
    """

    pts: int
    image: Image
    scale: float


def probe(source: ByteSource, limits: Limits, *, interrupted: threading.Event | None = None) -> VideoInfo:
    """Index a video.

    Raises:
        VideoRejected: it cannot be analysed; the line is for the person who uploaded it.
        DecodeFailed: the child crashed, hung, or went over a limit.
        Stopping: `interrupted` was set.
        Exception: what `source.read_at` raises, unchanged.
    """
    if not source.size_bytes:
        raise VideoRejected("This file is empty; upload it again.")
    rows = bytearray()
    with Job(source, limits, interrupted=interrupted) as job:
        while (record := job.receive())[0] is Kind.INDEX:
            rows += record[1]
            if len(rows) > limits.max_frames * wire.INDEX_ROW.itemsize:
                raise protocol_broken("more index rows than frames are allowed")
    kind, payload = record
    if kind is not Kind.INFO:
        raise protocol_broken(f"{kind.name} for a probe")
    try:
        return _read_info(payload, bytes(rows))
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise protocol_broken(str(error)) from error


def iter_frames(
    source: ByteSource,
    *,
    wanted_pts: npt.NDArray[np.int64],
    seek_pts: int,
    limits: Limits,
    side: int | None,
    interrupted: threading.Event | None = None,
) -> Iterator[Frame]:
    """Decode the wanted frames. Closing the iterator ends the child.

    Args:
        wanted_pts: int64 `(n,)`.
        seek_pts: of the keyframe to start at.
        side: letterbox into a square of so many pixels; None for the whole picture.
        interrupted: set it to have `Stopping` raised.

    Yields:
        Frames by rising pts, each at most once, and only those that the decoder gave: the caller holds them
        against `wanted_pts`.

    Raises:
        DecodeFailed: the child crashed, hung, went over a limit, or cannot open the video.
        Stopping: `interrupted` was set.
        Exception: what `source.read_at` raises, unchanged.
    """
    if not len(wanted_pts):
        return
    slot_bytes = (limits.max_pixels if side is None else side * side) * 3
    wanted = set(wanted_pts.tolist())
    spec = {"seek_pts": int(seek_pts), "side": side, "slot_bytes": slot_bytes}
    ring_fd = make_ring(slot_bytes)
    try:
        ring = Ring(ring_fd, slot_bytes, writable=False)
        job = Job(source, limits, interrupted=interrupted, ring_fd=ring_fd, wanted_pts=wanted_pts, **spec)
    finally:
        os.close(ring_fd)
    last_pts: int | None = None
    with job:
        while (record := job.receive())[0] is not Kind.END:
            frame, slot = _read_frame(record, ring)
            if frame.pts not in wanted or (last_pts is not None and frame.pts <= last_pts):
                raise protocol_broken(f"pts {frame.pts} out of turn")
            last_pts = frame.pts
            yield frame
            del frame
            job.release(slot)


def _read_frame(record: tuple[Kind, bytes], ring: Ring) -> tuple[Frame, int]:
    kind, payload = record
    if kind is not Kind.FRAME or len(payload) != wire.FRAME.size:
        raise protocol_broken(f"{kind.name} for a frame")
    pts, slot, height, width, scale = wire.FRAME.unpack(payload)
    try:
        return Frame(pts, ring.picture(slot, height, width), scale), slot
    except ValueError as error:
        raise protocol_broken(str(error)) from error


def _read_info(payload: bytes, rows_bytes: bytes) -> VideoInfo:
    rows = np.frombuffer(rows_bytes, dtype=wire.INDEX_ROW)
    info = json.loads(payload)
    index = FrameIndex(
        time_base=Fraction(*map(int, info["time_base"])),
        pts=rows["pts"],
        keyframe=rows["keyframe"].astype(np.bool_),
        position_bytes=rows["position"],
        size_bytes=rows["size"],
    )
    return VideoInfo(
        index=index,
        width=int(info["width"]),
        height=int(info["height"]),
        rotation_deg=int(info["rotation_deg"]),
        codec=str(info["codec"])[:64],
        container=str(info["container"])[:64],
    )
