"""A video opened with as little of FFmpeg as it takes, and the words for why it cannot be. Child side.

FFmpeg picks a parser by a file's content, whatever its name, and some of its formats are lists of other files. So
formats, decoders and protocols are named here one by one, and every attempt to open a second file is refused.
"""

from __future__ import annotations

import math
import mmap
from fractions import Fraction
from typing import NoReturn

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.core.frame_index import LARGEST_PTS
from pipeline.core.video_limits import VideoLimits
from pipeline.video.byte_channel import ByteChannelFile

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg"
CODECS = (
    "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,mpeg4,mpeg1video,mpeg2video,mjpeg,prores,dnxhd,dvvideo,"
    "h263,msmpeg4,msmpeg4v2,wmv3,vc1,ffv1"
)
# Formats whose header tells the duration; FFmpeg's guess for the others can be wrong by a turn of their clock.
_HEADED = ("mov", "matroska")
_STREAMS_AT_ALL = 10_000
ROOM_BYTES = 16 << 20
_NOT_A_VIDEO = "This file is not a video that Poseline reads; upload an MP4, MOV, MKV, WebM, AVI or MPEG-TS file."


class Unreadable(Exception):
    """The upload cannot be analysed; the message is for the person who uploaded it."""


def open_video(file: ByteChannelFile, limits: VideoLimits) -> tuple[InputContainer, VideoStream]:
    """The container, and its first real video stream with a single-threaded decoder.

    One thread: several children run beside inference on few cores, and the outcome must not depend on timing.

    Raises:
        Unreadable: it is no video, has no picture stream, or its codec, its size, its streams or the duration in its
            header is out of bounds.
        MemoryError: the child's memory limit.
    """
    if not file.size_bytes:
        raise Unreadable("This file is empty; upload it again.")
    try:
        try:
            container = _open(file, limits, limits.max_streams + 1)
        except MemoryError:  # FFmpeg's word for too many streams, too: see which it is
            container = _open(file, limits, _STREAMS_AT_ALL)
    except (av.FFmpegError, PermissionError, UnicodeDecodeError) as error:
        if isinstance(error, MemoryError):  # a damaged length asks for too much of it, where there is room
            check_room()
        raise Unreadable(_why_not(file)) from error
    if len(container.streams) > limits.max_streams:
        raise _too_many_streams(limits)
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise Unreadable("This file has no picture, only sound or data; upload the video itself.")
    stream = max(streams, key=_rank)
    context = stream.codec_context
    if context is None or context.name not in CODECS.split(","):
        name = context.name if context else "unknown"
        raise Unreadable(f"This video's codec ({name}) is not supported; export it as H.264 MP4.")
    if context.width * context.height > limits.max_pixels:
        raise too_large(context.width, context.height, limits)
    if container.duration and container.format.name.startswith(_HEADED):
        check_duration(container.duration / 1e6, limits)
    context.thread_count = 1
    context.thread_type = "NONE"
    context.options = {"max_pixels": str(_padded_pixels(limits)), "codec_whitelist": CODECS}
    return container, stream


def check_room(wanted_bytes: int = 0) -> None:
    """Hold the child's memory limit against what a next step needs at least.

    Raises:
        MemoryError: there is no room for it.
    """
    try:
        mmap.mmap(-1, max(ROOM_BYTES, wanted_bytes)).close()
    except OSError as error:
        raise MemoryError from error


def _rank(stream: VideoStream) -> tuple[int, bool, int]:
    """Which of several videos is meant: the largest, then what the file calls its default, then the first."""
    context = stream.codec_context
    pixels = context.width * context.height if context else 0
    return pixels, bool(stream.disposition & Disposition.default), -stream.index


def _padded_pixels(limits: VideoLimits) -> int:
    """FFmpeg counts pictures with their lines padded; the limit itself is held against true sizes elsewhere."""
    return limits.max_pixels + 768 * math.isqrt(limits.max_pixels) + 2**14


def too_large(width: int, height: int, limits: VideoLimits) -> Unreadable:
    """The words for a picture over the limit."""
    return Unreadable(
        f"This video's picture is {width} x {height}; at most {limits.max_pixels / 1e6:.3g} megapixels are taken: "
        "export it smaller."
    )


def check_duration(seconds: float, limits: VideoLimits) -> None:
    """Hold a video's length against the limit.

    Raises:
        Unreadable: it is longer.
    """
    if seconds > limits.max_duration_s:
        raise Unreadable(
            f"This video lasts {clock(seconds)} by its times, at most {clock(limits.max_duration_s)} is taken; "
            "cut it into shorter ones, or export it anew."
        )


def check_times(first_pts: int, last_pts: int, time_base: Fraction | None, limits: VideoLimits) -> None:
    """Hold a video's least and greatest pts against what can be counted with, and its length against the limit.

    Raises:
        Unreadable: they are out of bounds.
    """
    if not time_base or first_pts < -LARGEST_PTS or last_pts > LARGEST_PTS:
        raise Unreadable("The times of this video's frames make no sense; export it anew as H.264 MP4.")
    check_duration(float((last_pts - first_pts) * time_base), limits)


def out_of_memory(limits: VideoLimits) -> Unreadable:
    """The words for a video that cannot be read in the memory that a child has."""
    return Unreadable(
        f"Reading this video takes more than {limits.memory_bytes >> 20} MiB of memory; "
        "export it anew as H.264 MP4, or smaller."
    )


def clock(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on."""
    if seconds >= 1e9:
        return "more than 30 years"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _too_many_streams(limits: VideoLimits) -> Unreadable:
    return Unreadable(
        f"This file holds more than {limits.max_streams} streams; export it with one picture and one sound."
    )


def _open(file: ByteChannelFile, limits: VideoLimits, max_streams: int) -> InputContainer:
    file.seek(0)
    options = {
        "format_whitelist": FORMATS,
        "codec_whitelist": CODECS,
        "protocol_whitelist": "none",
        "max_pixels": str(_padded_pixels(limits)),  # holds for the frames that probing decodes, too
        "max_streams": str(max_streams),
    }
    return av.open(file, "r", options=options, io_open=_refuse, metadata_errors="replace")


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:  # noqa: ARG001 - PyAV's signature
    raise PermissionError(f"the video asks for another file, {url}")


def _why_not(file: ByteChannelFile) -> str:
    file.seek(0)
    head = file.read(12)
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free") and not _has_box(file, b"moov"):
        return "This file is cut off before its index, so nothing in it can be found; upload it again."
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3" or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "This video's header is damaged; upload it again, or export it anew."
    return _NOT_A_VIDEO


def _has_box(file: ByteChannelFile, name: bytes) -> bool:
    """Whether an MP4 has a box of that name at its top level."""
    at = 0
    for _ in range(10_000):
        file.seek(at)
        head = b""
        while len(head) < 16 and (more := file.read(16 - len(head))):
            head += more
        if len(head) < 8:
            return False
        if head[4:8] == name:
            return True
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8:
            return False
        at += size
    return False
