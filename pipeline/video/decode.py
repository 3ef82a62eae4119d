"""Frames by their pts, from a seek or from the start. Child side.

What is promised: a frame is given under the pts it has in one pass from the start of the file. What is not: that
every wanted frame comes; a damaged one is left out, and the parent holds the list.
"""

from __future__ import annotations

import mmap
import socket
import time
from collections.abc import Iterator
from itertools import chain
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from pipeline.video import wire
from pipeline.video.bytefile import ParentFile
from pipeline.video.letterbox import Image, letterbox
from pipeline.video.limits import Limits
from pipeline.video.opening import open_video
from pipeline.video.ring import SLOTS, Ring
from pipeline.video.wire import Kind

TICK_S = 0.5
# MPEG-TS is sought by byte position and lands between keyframes: then again, from earlier on.
SEEK_MARGINS_S = (0, 2, 10)
# Packets decoded past the last wanted frame, for a stream whose frames come late.
GRACE_PACKETS = 16
MAX_DEMUX_ERRORS = 100
ROOM_BYTES = 16 << 20

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class Ticker:
    """Tells the parent, twice a second, that work goes on."""

    def __init__(self, job: socket.socket) -> None:
        self._job = job
        self._next_s = 0.0

    def tick(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            wire.send(self._job, Kind.TICK)
            self._next_s = now_s + TICK_S


def send_frames(
    job: socket.socket,
    file: ParentFile,
    limits: Limits,
    ring: Ring,
    wanted_pts: npt.NDArray[np.int64],
    *,
    seek_pts: int,
    side: int | None,
) -> None:
    """Decode, put each wanted frame into a free slot, say so, and say when there are no more."""
    wanted = set(wanted_pts.tolist())
    free = list(range(SLOTS))
    to_bgr = VideoReformatter()
    last_pts: int | None = None
    first_pts, until_pts = min(wanted), max(wanted)
    for frame in _iter_span(file, limits, Ticker(job), seek_pts, first_pts, until_pts):
        pts = frame.pts
        if pts is None or pts not in wanted or (last_pts is not None and pts <= last_pts):
            continue
        try:
            image = upright_bgr(frame, to_bgr)
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError):
            continue
        while not free:
            free.extend(job.recv(SLOTS) or _hung_up())
        slot = free.pop()
        if side is None:
            height, width = image.shape[:2]
            scale = 1.0
            ring.picture(slot, height, width)[:] = image
        else:
            height = width = side
            scale = letterbox(image, side, out=ring.picture(slot, side, side))[1]
        wire.send(job, Kind.FRAME, wire.FRAME.pack(pts, slot, height, width, scale))
        last_pts = pts
        wanted.discard(pts)
        if not wanted:
            break
    wire.send(job, Kind.END)


def upright_bgr(frame: VideoFrame, to_bgr: VideoReformatter) -> Image:
    """uint8 `(h, w, 3)` as displayed: the display matrix's quarter turns are applied, its mirroring is not."""
    image = cast("Image", to_bgr.reformat(frame, format="bgr24", threads=1).to_ndarray())
    turn = quarter_turns_ccw(frame) * 90
    return cast("Image", cv2.rotate(image, _TURNS[turn])) if turn else image


def quarter_turns_ccw(frame: VideoFrame) -> int:
    """0 to 3: how often the picture must be turned counter-clockwise to stand upright."""
    return round(frame.rotation / 90) % 4


def iter_packets(container: InputContainer, *streams: Stream) -> Iterator[Packet[VideoStream]]:
    """The streams' packets and their flush packets; a stretch that cannot be parsed is passed over."""
    for _ in range(MAX_DEMUX_ERRORS):
        try:
            yield from cast("Iterator[Packet[VideoStream]]", container.demux(*streams))
        except av.InvalidDataError:
            continue
        return


def decode_packet(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """The frames that a packet brings out; none where it is damaged.

    Raises:
        MemoryError: the child's memory limit.
    """
    try:
        return packet.decode()
    except (av.FFmpegError, EOFError):
        check_memory(packet.stream)
        return []


def check_memory(stream: VideoStream) -> None:
    """Tell damage from want of memory, which FFmpeg's decoders report alike: room for a picture has to be left.

    Raises:
        MemoryError: there is none.
    """
    context = stream.codec_context
    try:
        mmap.mmap(-1, max(ROOM_BYTES, 4 * context.width * context.height)).close()
    except OSError as error:
        raise MemoryError from error


def _iter_span(
    file: ParentFile, limits: Limits, ticker: Ticker, seek_pts: int, first_pts: int, last_pts: int
) -> Iterator[VideoFrame]:
    """Frames that include `[first_pts, last_pts]`, from the first start that brings out a frame early enough."""
    for packets, final in _iter_starts(file, limits, ticker, seek_pts):
        frames = _iter_until(packets, ticker, last_pts)
        first = next(frames, None)
        if first is not None and (final or (first.pts is not None and first.pts <= first_pts)):
            yield first
            yield from frames
            return
        if final:
            return


def _iter_until(packets: Iterator[Packet[VideoStream]], ticker: Ticker, last_pts: int) -> Iterator[VideoFrame]:
    grace = GRACE_PACKETS
    past_end = False
    for packet in packets:
        ticker.tick()
        for frame in decode_packet(packet):
            past_end = past_end or (frame.pts is not None and frame.pts > last_pts)
            yield frame
        grace -= past_end
        if grace < 0:
            return


def _iter_starts(
    file: ParentFile, limits: Limits, ticker: Ticker, seek_pts: int
) -> Iterator[tuple[Iterator[Packet[VideoStream]], bool]]:
    """Packets from a keyframe at or before `seek_pts`, ever earlier, then from the start; whether it is the last try.

    A keyframe is not always enough: with intra refresh the decoder holds frames back until the picture is whole.
    Where ten seconds do not help either the frames are damaged, and the start of the file would not mend them.
    """
    container, stream = open_video(file, limits)
    start_pts = stream.start_time
    if stream.time_base and (start_pts is None or seek_pts > start_pts):
        for margin_s in SEEK_MARGINS_S:
            target_pts = seek_pts - int(margin_s / stream.time_base)
            if start_pts is not None and target_pts < start_pts:
                break
            try:
                container.seek(target_pts, stream=stream)
            except (av.FFmpegError, OverflowError):
                break
            packets = iter_packets(container, stream)
            first = _next_keyframe(packets, ticker)
            if first is not None and first.pts is not None and first.pts <= seek_pts:
                yield chain((first,), packets), margin_s == SEEK_MARGINS_S[-1]
        container.close()
        container, stream = open_video(file, limits)
    yield iter_packets(container, stream), True


def _next_keyframe(packets: Iterator[Packet[VideoStream]], ticker: Ticker) -> Packet[VideoStream] | None:
    for packet in packets:
        ticker.tick()
        if packet.is_keyframe:
            return packet
    return None


def _hung_up() -> bytes:
    raise wire.Closed("the parent hung up")
