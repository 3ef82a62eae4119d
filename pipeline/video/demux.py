"""Open a video with only the parts of FFmpeg that are needed, or say why it cannot be opened. Child side.

FFmpeg chooses a demuxer by a file's content, whatever its name, and some of its formats are lists of other files. So
formats, decoders and protocols are allowed one by one, and every attempt to open a second file is refused.
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
# Formats with the duration in the header; FFmpeg's estimate for others can be wrong by a wrap of their clock.
_DURATION_IN_HEADER = ("mov", "matroska")
_NO_STREAM_LIMIT = 10_000
ROOM_BYTES = 16 << 20
_NOT_A_VIDEO = "This file is not a video that Poseline reads; upload an MP4, MOV, MKV, WebM, AVI or MPEG-TS file."


class Unreadable(Exception):
    """The upload cannot be analysed; the message is for the person who uploaded it."""


def open_video(file: ByteChannelFile, limits: VideoLimits) -> tuple[InputContainer, VideoStream]:
    """Open the container and its largest video stream with a single-threaded decoder.

    One thread, since several children run beside inference on few cores, and results must not depend on timing.

    Raises:
        Unreadable: it is not a video, has no video stream, an unsupported codec, or exceeds a limit.
        MemoryError: the child's memory limit is reached.
    """
    container = open_container(file, limits, CODECS)
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise Unreadable("This file has no video, only sound or data; upload the video itself.")
    stream = max(streams, key=_rank)
    context = stream.codec_context
    if context is None or context.name not in CODECS.split(","):
        name = context.name if context else "unknown"
        raise Unreadable(f"This video's codec ({name}) is not supported; export it as H.264 MP4.")
    if context.width * context.height > limits.max_pixels:
        raise too_large(context.width, context.height, limits)
    if container.duration and container.format.name.startswith(_DURATION_IN_HEADER):
        check_duration(container.duration / 1e6, limits)
    context.thread_count = 1
    context.thread_type = "NONE"
    context.options = {"max_pixels": str(_padded_pixels(limits)), "codec_whitelist": CODECS}
    return container, stream


def open_container(file: ByteChannelFile, limits: VideoLimits, codecs: str) -> InputContainer:
    """Open the container.

    Args:
        codecs: the decoders that FFmpeg may use to identify streams, separated by commas.

    Raises:
        Unreadable: it is not a video, or has too many streams.
        MemoryError: the child's memory limit is reached.
    """
    if not file.size_bytes:
        raise Unreadable("This file is empty; upload it again.")
    try:
        try:
            container = _open(file, limits, limits.max_streams + 1, codecs)
        except MemoryError:  # also FFmpeg's error for too many streams
            container = _open(file, limits, _NO_STREAM_LIMIT, codecs)
    except (av.FFmpegError, PermissionError, UnicodeDecodeError) as error:
        if isinstance(error, MemoryError):  # or a damaged length field requests too much
            check_room()
        raise Unreadable(_why_not(file)) from error
    if len(container.streams) > limits.max_streams:
        raise _too_many_streams(limits)
    return container


def check_room(wanted_bytes: int = 0) -> None:
    """Check that so much memory can still be allocated, at least `ROOM_BYTES`.

    Raises:
        MemoryError: it cannot.
    """
    try:
        mmap.mmap(-1, max(ROOM_BYTES, wanted_bytes)).close()
    except OSError as error:
        raise MemoryError from error


def _rank(stream: VideoStream) -> tuple[int, bool, int]:
    """Sort key for several video streams: the largest, then the default one, then the first."""
    context = stream.codec_context
    pixels = context.width * context.height if context else 0
    return pixels, bool(stream.disposition & Disposition.default), -stream.index


def _padded_pixels(limits: VideoLimits) -> int:
    """A limit for FFmpeg, which counts padded lines; the exact limit is checked elsewhere."""
    return limits.max_pixels + 768 * math.isqrt(limits.max_pixels) + 2**14


def too_large(width: int, height: int, limits: VideoLimits) -> Unreadable:
    """The error for frames over the limit."""
    return Unreadable(
        f"This video's frame is {width} x {height}; at most {limits.max_pixels / 1e6:.3g} megapixels are allowed: "
        "export it smaller."
    )


def check_duration(seconds: float, limits: VideoLimits) -> None:
    """Check a video's duration against the limit.

    Raises:
        Unreadable: it is longer.
    """
    if seconds > limits.max_duration_s:
        raise Unreadable(
            f"This video lasts {clock(seconds)} by its times, at most {clock(limits.max_duration_s)} is allowed; "
            "cut it into shorter ones, or export it again."
        )


def check_times(first_pts: int, last_pts: int, time_base: Fraction | None, limits: VideoLimits) -> None:
    """Check a video's smallest and largest pts against the range of the index, and its duration against the limit.

    Raises:
        Unreadable: they are out of bounds.
    """
    if not time_base or first_pts < -LARGEST_PTS or last_pts > LARGEST_PTS:
        raise Unreadable("The times of this video's frames are invalid; export it again as H.264 MP4.")
    check_duration(float((last_pts - first_pts) * time_base), limits)


def out_of_memory(limits: VideoLimits) -> Unreadable:
    """The error for a video that needs more memory than a child may use."""
    return Unreadable(
        f"Reading this video takes more than {limits.memory_bytes >> 20} MiB of memory; "
        "export it again as H.264 MP4, or smaller."
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
        f"This file holds more than {limits.max_streams} streams; export it with one video and one audio stream."
    )


def _open(file: ByteChannelFile, limits: VideoLimits, max_streams: int, codecs: str) -> InputContainer:
    file.seek(0)
    # PyAV does not look whether a codec's context could be allocated, and crashes in avcodec_parameters_to_context.
    check_room()
    options = {
        "format_whitelist": FORMATS,
        "codec_whitelist": codecs,
        "protocol_whitelist": "none",
        "max_pixels": str(_padded_pixels(limits)),  # applies to the frames that FFmpeg decodes while opening, too
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
        return "This video's header is damaged; upload it again, or export it again."
    return _NOT_A_VIDEO


def _has_box(file: ByteChannelFile, name: bytes) -> bool:
    """Whether an MP4 has a box of this name at its top level."""
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
