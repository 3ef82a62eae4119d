"""Frames by what tells them apart, from a seek or from the start. Child side.

What is promised: a frame is given under the key it has in one pass from the start of the file: its pts, or its place
where the container's times cannot tell frames apart. What is not: that every wanted frame comes; a damaged one is left
out, and the parent holds the list.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.core.video_limits import VideoLimits
from pipeline.video import wire
from pipeline.video.byte_channel import ByteChannelFile
from pipeline.video.demux import check_room, open_video
from pipeline.video.frame_converter import FrameConverter
from pipeline.video.frame_pool import MOST_SLOTS, FramePool
from pipeline.video.lockdown import grant_cpu
from pipeline.video.wire import Kind

TICK_S = 0.5
# MPEG-TS is sought by byte position and lands between keyframes: then again, from earlier on.
SEEK_MARGINS_S = (0, 2, 10)
# Packets decoded past the last wanted frame, for a stream whose frames come late.
GRACE_PACKETS = 16
MAX_DEMUX_ERRORS = 100
# A frame whose side data was asked for refers to itself, so only a collection frees it. Left to Python's own pace 720p
# took 217 MB after 200 frames, on memory that was new for each: with this 37 MB, and a fifth less processor time.
COLLECT_EVERY = 4
#: Formats without an index, in which a packet's own place in the file is the one quick way to it.
SOUGHT_BY_BYTE = {"mpegts"}


@dataclass(frozen=True)
class Span:
    """What a child has to decode.

    Args:
        keys: int64 `(n,)`, rising: pts, or with `counted` places in one pass from the start.
        counted: whether keys are places.
        seek_pts: of the keyframe to start at.
        seek_bytes: where its packet lies in the file, -1 where that is not known.
    """

    keys: npt.NDArray[np.int64]
    counted: bool
    seek_pts: int
    seek_bytes: int


class Ticker:
    """Tells the parent, twice a second, that work goes on, and gives each packet its own processor time."""

    def __init__(self, job: socket.socket, limits: VideoLimits) -> None:
        self._job = job
        self._limits = limits
        self._next_s = 0.0

    def tick(self) -> None:
        grant_cpu(self._limits)
        now_s = time.monotonic()
        if now_s >= self._next_s:
            wire.send(self._job, Kind.TICK)
            self._next_s = now_s + TICK_S


def send_frames(
    job: socket.socket, file: ByteChannelFile, limits: VideoLimits, ring: FramePool, span: Span, upright: FrameConverter
) -> None:
    """Decode, put each wanted frame into a free slot, say so, and say when there are no more."""
    wanted = set(span.keys.tolist())
    free = list(range(ring.slots))
    last: int | None = None
    written = 0
    for key, frame in _iter_keyed(file, limits, Ticker(job, limits), span):
        grant_cpu(limits)  # one packet, the last above all, can bring out many frames
        if key is None or key not in wanted or (last is not None and key <= last):
            continue
        while not free:
            free.extend(job.recv(MOST_SLOTS) or _hung_up())
        slot = free.pop()
        try:
            upright.write(frame, ring.picture(slot))
        except MemoryError:
            raise
        except (av.FFmpegError, cv2.error, ValueError):
            free.append(slot)
            continue
        wire.send(job, Kind.FRAME, wire.FRAME.pack(key, slot))
        last = key
        written += 1
        if not written % COLLECT_EVERY:
            gc.collect()
        wanted.discard(key)
        if not wanted:
            break
    wire.send(job, Kind.END)


def iter_packets(container: InputContainer, *streams: Stream) -> Iterator[Packet[VideoStream]]:
    """The streams' packets and their flush packets; a stretch that cannot be parsed is passed over."""
    for _ in range(MAX_DEMUX_ERRORS):
        try:
            yield from cast("Iterator[Packet[VideoStream]]", container.demux(*streams))
        except av.FFmpegError:  # want of memory too: a damaged length asks for too much of it
            check_room()
            continue
        return
    for stream in streams:  # what a decoder holds back would be lost otherwise
        flush = cast("Packet[VideoStream]", Packet())
        flush.stream = cast("VideoStream", stream)
        yield flush


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
    check_room(4 * context.width * context.height)


def only(container: InputContainer, stream: VideoStream) -> None:
    """Have the demuxer pass over all other streams, so that their bytes are not read where they lie apart."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all


def _iter_keyed(
    file: ByteChannelFile, limits: VideoLimits, ticker: Ticker, span: Span
) -> Iterator[tuple[int | None, VideoFrame]]:
    """Frames with their keys, which include the span's."""
    if not span.counted:
        for frame in _iter_span(file, limits, ticker, span):
            yield frame.pts, frame
        return
    container, stream = open_video(file, limits)
    only(container, stream)
    last, place = int(span.keys[-1]), 0
    for packet in iter_packets(container, stream):
        ticker.tick()
        for frame in decode_packet(packet):
            yield place, frame
            place += 1
        if place > last:
            return


def _iter_span(file: ByteChannelFile, limits: VideoLimits, ticker: Ticker, span: Span) -> Iterator[VideoFrame]:
    """Frames that include the span's, from the first start that brings out a frame early enough."""
    first_pts, last_pts = int(span.keys[0]), int(span.keys[-1])
    for packets, final in _iter_starts(file, limits, ticker, span):
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
    file: ByteChannelFile, limits: VideoLimits, ticker: Ticker, span: Span
) -> Iterator[tuple[Iterator[Packet[VideoStream]], bool]]:
    """Packets from a keyframe at or before the span, ever earlier, then from the start; whether it is the last try.

    A keyframe is not always enough: with intra refresh the decoder holds frames back until the picture is whole.
    Where ten seconds do not help either the frames are damaged, and the start of the file would not mend them.
    """
    container, stream = open_video(file, limits)
    only(container, stream)
    start_pts = stream.start_time
    if stream.time_base and (start_pts is None or span.seek_pts > start_pts):
        if span.seek_bytes >= 0 and container.format.name in SOUGHT_BY_BYTE:
            with contextlib.suppress(av.FFmpegError):
                container.seek(span.seek_bytes, any_frame=True, unsupported_byte_offset=True)
                packets = iter_packets(container, stream)
                first = _next_keyframe(packets, ticker)
                if first is not None and first.pts == span.seek_pts:
                    yield chain((first,), packets), False
        for margin_s in SEEK_MARGINS_S:
            target_pts = span.seek_pts - int(margin_s / stream.time_base)
            if start_pts is not None and target_pts < start_pts:
                break
            try:
                container.seek(target_pts, stream=stream)
            except (av.FFmpegError, OverflowError):
                break
            packets = iter_packets(container, stream)
            first = _next_keyframe(packets, ticker)
            if first is not None and _is_sound(container, first, span):
                yield chain((first,), packets), margin_s == SEEK_MARGINS_S[-1]
        container.close()
        container, stream = open_video(file, limits)
        only(container, stream)
    yield iter_packets(container, stream), True


def _is_sound(container: InputContainer, first: Packet[VideoStream], span: Span) -> bool:
    """Whether frames from this packet on have the pts that they have in one pass from the start.

    An AVI's pts are counted, from the start of the file or by an index that may not fit it: there only the very
    packet of the frame index will do.
    """
    if first.pts is None or first.pts > span.seek_pts:
        return False
    if container.format.name != "avi":
        return True
    return first.pts == span.seek_pts and first.pos == span.seek_bytes


def _next_keyframe(packets: Iterator[Packet[VideoStream]], ticker: Ticker) -> Packet[VideoStream] | None:
    for packet in packets:
        ticker.tick()
        if packet.is_keyframe:
            return packet
    return None


def _hung_up() -> bytes:
    raise wire.Closed("the parent hung up")
