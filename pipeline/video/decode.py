"""Decode requested frames, from a seek or from the start of the file. Child side.

A frame is sent under the key that it has in one pass from the start of the file: its pts, or its position where pts do
not identify frames. Not every requested frame comes: a damaged one is left out, and the parent compares with its index.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import time
from collections.abc import Iterator
from itertools import chain
from typing import cast

import av
import cv2
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.core.frame_index import Int64s
from pipeline.core.video_limits import VideoLimits
from pipeline.video import wire
from pipeline.video.byte_channel import ByteChannelFile
from pipeline.video.decode_request import DecodeRequest
from pipeline.video.demux import check_room, open_video
from pipeline.video.frame_converter import FrameConverter
from pipeline.video.frame_pool import MAX_SLOTS, FramePool
from pipeline.video.lockdown import grant_cpu
from pipeline.video.wire import RecordKind

TICK_S = 0.5
#: A packet's CPU time may be this much short; CPU time is never more than the time that passes.
GRANT_S = 0.001
# A seek in MPEG-TS goes by byte position and may land between keyframes: then seek again, further back.
SEEK_MARGINS_S = (0, 2, 10)
# Packets decoded past the last wanted frame, for a stream whose decoder delays frames.
GRACE_PACKETS = 16
MAX_DEMUX_ERRORS = 100
# A frame whose side data was read refers to itself, so only a garbage collection frees it. With Python's own thresholds
# 720p took 217 MB after 200 frames; with this 37 MB, and a fifth less CPU time.
COLLECT_EVERY = 4
#: Formats without an index, where only a packet's own position in the file leads to it quickly.
BYTE_SEEK_FORMATS = {"mpegts"}


class Ticker:
    """Sends the parent a tick twice a second, and starts each packet's CPU time; many take microseconds only."""

    def __init__(self, job: socket.socket, limits: VideoLimits) -> None:
        self._job = job
        self._limits = limits
        self._next_s = 0.0
        self._granted_at_s = 0.0

    def tick(self) -> None:
        now_s = time.monotonic()
        if now_s - self._granted_at_s >= GRANT_S:
            grant_cpu(self._limits)
            self._granted_at_s = now_s
        if now_s >= self._next_s:
            wire.send(self._job, RecordKind.TICK)
            self._next_s = now_s + TICK_S


def send_frames(
    job: socket.socket,
    file: ByteChannelFile,
    request: DecodeRequest,
    keys: Int64s,
    pool: FramePool,
    converter: FrameConverter,
) -> None:
    """Decode, convert each requested frame into a free slot of the pool, and announce it; send END after the last."""
    wanted = set(keys.tolist())
    free = list(range(pool.slots))
    last: int | None = None
    written = 0
    for key, frame in _iter_keyed(file, request, keys, Ticker(job, request.limits)):
        grant_cpu(request.limits)  # one packet, the flush above all, can give many frames
        if key is None or key not in wanted or (last is not None and key <= last):
            continue
        while not free:
            free.extend(_receive_released(job))
        slot = free.pop()
        try:
            converter.write(frame, pool.image(slot))
        except MemoryError:
            raise
        except (av.FFmpegError, cv2.error, ValueError):
            free.append(slot)
            continue
        wire.send(job, RecordKind.FRAME, wire.FRAME.pack(key, slot))
        last = key
        written += 1
        if not written % COLLECT_EVERY:
            gc.collect()
        wanted.discard(key)
        if not wanted:
            break
    wire.send(job, RecordKind.END)


def iter_packets(container: InputContainer, *streams: Stream) -> Iterator[Packet[VideoStream]]:
    """Yield the streams' packets, then a flush packet for each stream; a part that cannot be parsed is skipped."""
    for _ in range(MAX_DEMUX_ERRORS):
        try:
            yield from cast("Iterator[Packet[VideoStream]]", container.demux(*streams))
        except av.FFmpegError:  # lack of memory too: a damaged length field requests too much
            check_room()
            continue
        return
    for stream in streams:  # makes a decoder give the frames it still holds
        flush = cast("Packet[VideoStream]", Packet())
        flush.stream = cast("VideoStream", stream)
        yield flush


def decode_packet(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """Decode one packet; a damaged one gives no frames.

    Raises:
        MemoryError: the child's memory limit is reached.
    """
    try:
        return packet.decode()
    except (av.FFmpegError, EOFError):
        check_memory(packet.stream)
        return []


def check_memory(stream: VideoStream) -> None:
    """Check that there is memory for another frame: FFmpeg's decoders report a lack of memory as damage.

    Raises:
        MemoryError: there is none.
    """
    context = stream.codec_context
    check_room(4 * context.width * context.height)


def discard_other_streams(container: InputContainer, stream: VideoStream) -> None:
    """Make the demuxer skip all other streams, so that their bytes are not read where they are stored apart."""
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all


def _iter_keyed(
    file: ByteChannelFile, request: DecodeRequest, keys: Int64s, ticker: Ticker
) -> Iterator[tuple[int | None, VideoFrame]]:
    """Yield frames with their keys: the requested ones and some around them."""
    if not request.indexed_by_position:
        for frame in _iter_by_pts(file, request, keys, ticker):
            yield frame.pts, frame
        return
    container, stream = open_video(file, request.limits)
    discard_other_streams(container, stream)
    last, position = int(keys[-1]), 0
    for packet in iter_packets(container, stream):
        ticker.tick()
        for frame in decode_packet(packet):
            yield position, frame
            position += 1
        if position > last:
            return


def _iter_by_pts(file: ByteChannelFile, request: DecodeRequest, keys: Int64s, ticker: Ticker) -> Iterator[VideoFrame]:
    """Yield frames from the first starting point whose first frame is not after the first requested one."""
    first_pts, last_pts = int(keys[0]), int(keys[-1])
    for packets, is_final in _iter_starts(file, request, ticker):
        frames = _iter_until(packets, ticker, last_pts)
        first = next(frames, None)
        if first is not None and (is_final or (first.pts is not None and first.pts <= first_pts)):
            yield first
            yield from frames
            return
        if is_final:
            return


def _iter_until(packets: Iterator[Packet[VideoStream]], ticker: Ticker, last_pts: int) -> Iterator[VideoFrame]:
    grace_packets = GRACE_PACKETS
    past_end = False
    for packet in packets:
        ticker.tick()
        for frame in decode_packet(packet):
            past_end = past_end or (frame.pts is not None and frame.pts > last_pts)
            yield frame
        grace_packets -= past_end
        if grace_packets < 0:
            return


def _iter_starts(
    file: ByteChannelFile, request: DecodeRequest, ticker: Ticker
) -> Iterator[tuple[Iterator[Packet[VideoStream]], bool]]:
    """Yield packets from ever earlier starting points, and whether it is the last one.

    The first is the keyframe of the request. It is not always enough: with intra refresh the decoder holds frames back
    until the image is complete. If starting ten seconds earlier does not help either, the frames are damaged. Where
    no seek finds a keyframe, the start of the file is the last one.
    """
    container, stream = open_video(file, request.limits)
    discard_other_streams(container, stream)
    start_pts = stream.start_time
    if stream.time_base and (start_pts is None or request.seek_pts > start_pts):
        if request.seek_bytes >= 0 and container.format.name in BYTE_SEEK_FORMATS:
            with contextlib.suppress(av.FFmpegError):
                container.seek(request.seek_bytes, any_frame=True, unsupported_byte_offset=True)
                packets = iter_packets(container, stream)
                first = _next_keyframe(packets, ticker)
                if first is not None and first.pts == request.seek_pts:
                    yield chain((first,), packets), False
        for margin_s in SEEK_MARGINS_S:
            target_pts = request.seek_pts - int(margin_s / stream.time_base)
            if start_pts is not None and target_pts < start_pts:
                break
            try:
                container.seek(target_pts, stream=stream)
            except (av.FFmpegError, OverflowError):
                break
            packets = iter_packets(container, stream)
            first = _next_keyframe(packets, ticker)
            if first is not None and _keeps_pts(container, first, request):
                yield chain((first,), packets), margin_s == SEEK_MARGINS_S[-1]
        container.close()
        container, stream = open_video(file, request.limits)
        discard_other_streams(container, stream)
    yield iter_packets(container, stream), True


def _keeps_pts(container: InputContainer, first: Packet[VideoStream], request: DecodeRequest) -> bool:
    """Whether frames from this packet on have the pts that they have in one pass from the start.

    In an AVI the demuxer counts pts, from the start of the file or by an index that may be wrong: there only the
    packet of the frame index is safe.
    """
    if first.pts is None or first.pts > request.seek_pts:
        return False
    if container.format.name != "avi":
        return True
    return first.pts == request.seek_pts and first.pos == request.seek_bytes


def _next_keyframe(packets: Iterator[Packet[VideoStream]], ticker: Ticker) -> Packet[VideoStream] | None:
    for packet in packets:
        ticker.tick()
        if packet.is_keyframe:
            return packet
    return None


def _receive_released(job: socket.socket) -> bytes:
    """Wait for slots that the parent released, one byte each.

    Raises:
        Closed: the parent closed the socket.
    """
    slots = job.recv(MAX_SLOTS)
    if not slots:
        raise wire.Closed("the parent closed the socket")
    return slots
