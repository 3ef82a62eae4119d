"""Decode what a camera sends, frame by frame as it comes, with no container around it. Child side.

Each packet has one answer, in order: its picture is in the slot that the parent named, or why there is none. A picture
is known by the pts that its packet was given, so that none is ever taken for another's.
"""

from __future__ import annotations

import gc
import socket

import av
import cv2
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from pipeline.core.video_limits import VideoLimits
from pipeline.video import wire
from pipeline.video.decode import COLLECT_EVERY
from pipeline.video.decode_request import DecodeRequest
from pipeline.video.demux import check_room
from pipeline.video.frame_converter import FrameConverter, display_size, orientation
from pipeline.video.frame_pool import FramePool
from pipeline.video.lockdown import grant_cpu
from pipeline.video.wire import RecordKind

WAITS_FOR_KEYFRAME = "waits for a keyframe"
#: Answers are kept short: each is shown to a person.
_LONGEST_BYTES = 300
_END_OF_JPEG = b"\xff\xd9"
#: Some cameras pad what they send.
_AFTER_JPEG_BYTES = 4096


class NoPicture(Exception):
    """A packet gave no picture; the message says why."""


def send_pictures(job: socket.socket, request: DecodeRequest, pool: FramePool) -> None:
    """Answer packets until the parent closes the socket.

    Raises:
        Closed: it did.
        MemoryError: the child's memory limit is reached.
    """
    camera = Camera(request)
    count = 0
    while True:
        kind, payload = wire.receive(job)
        if kind is not RecordKind.PACKET or len(payload) <= wire.PACKET.size:
            raise ValueError("the parent sent something else than a packet")
        frame_id, is_keyframe, slot = wire.PACKET.unpack_from(payload)
        grant_cpu(request.limits)
        try:
            width, height = camera.write(payload[wire.PACKET.size :], frame_id, bool(is_keyframe), pool, slot)
        except NoPicture as reason:
            head = wire.NO_PICTURE.pack(frame_id, camera.needs_keyframe)
            wire.send(job, RecordKind.NO_PICTURE, head + str(reason).encode()[:_LONGEST_BYTES])
        else:
            wire.send(job, RecordKind.PICTURE, wire.PICTURE.pack(frame_id, width, height))
        count += 1
        if not count % COLLECT_EVERY:
            gc.collect()


class Camera:
    """The decoder of one camera.

    Attributes:
        needs_keyframe: whether other frames cannot be decoded now.
    """

    def __init__(self, request: DecodeRequest) -> None:
        self._request = request
        self._is_video = request.codec == "h264"
        self._context: VideoCodecContext | None = None
        self._converter = FrameConverter(request.size, request.side)
        self._size = request.size
        self.needs_keyframe = self._is_video

    def write(self, data: bytes, frame_id: int, is_keyframe: bool, pool: FramePool, slot: int) -> tuple[int, int]:
        """Decode a packet into a slot of the pool. Returns the picture's width and height as displayed.

        Raises:
            NoPicture: it gave none.
            MemoryError: the child's memory limit is reached.
        """
        if self.needs_keyframe and not is_keyframe:
            raise NoPicture(WAITS_FOR_KEYFRAME)
        frame = self._decode(data, frame_id)
        size = self._convertible(frame)
        try:
            self._converter.write(frame, pool.image(slot))
        except (av.FFmpegError, cv2.error, ValueError) as error:
            raise NoPicture("its picture cannot be converted") from error
        self.needs_keyframe = False
        return size

    def _decode(self, data: bytes, frame_id: int) -> VideoFrame:
        if not self._is_video and _END_OF_JPEG not in data[-_AFTER_JPEG_BYTES:]:
            raise NoPicture("it ends before its picture does")  # FFmpeg would fill the rest with grey
        if self._context is None or self.needs_keyframe:
            self._context = _open(self._request.codec, self._request.limits)
        packet = Packet(data)
        packet.pts = packet.dts = frame_id
        try:
            frames = self._context.decode(packet)
        except (av.FFmpegError, EOFError) as error:
            check_room(4 * self._context.width * self._context.height)  # FFmpeg reports a lack of memory as damage
            self.needs_keyframe = self._is_video
            raise NoPicture("it is damaged, or no picture of the codec that was said") from error
        found = [frame for frame in frames if frame.pts == frame_id]
        if not found:
            self.needs_keyframe = self._is_video
            raise NoPicture(
                "its picture came late; encode without B-frames and look-ahead" if frames else "it holds no picture"
            )
        if found[0].is_corrupt:
            self.needs_keyframe = self._is_video
            raise NoPicture("its picture is damaged")
        return found[0]

    def _convertible(self, frame: VideoFrame) -> tuple[int, int]:
        """The size of a frame as displayed, once the converter fits it."""
        limits, side = self._request.limits, self._request.side
        size = display_size(frame.width, frame.height, orientation(frame), None)
        if frame.width * frame.height > limits.max_pixels:
            raise NoPicture(f"{frame.width} x {frame.height} is too large; at most {limits.max_pixels} pixels")
        if size != self._size:
            if side is None:
                width, height = self._size
                raise NoPicture(f"its size is not the {width} x {height} that was said; begin a new session")
            self._converter, self._size = FrameConverter(size, side), size
        return size


def _open(codec: str, limits: VideoLimits) -> VideoCodecContext:
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    context.thread_type = "NONE"
    context.flags |= Flags.low_delay
    context.options = {"max_pixels": str(4 * limits.max_pixels), "err_detect": "careful"}
    return context
