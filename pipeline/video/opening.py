"""A video opened with as little of FFmpeg as it takes, and the words for why it cannot be. Child side.

FFmpeg picks a parser by a file's content, whatever its name, and some of its formats are lists of other files. So
formats, decoders and protocols are named here one by one, and every attempt to open a second file is refused.
"""

from __future__ import annotations

from typing import NoReturn

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.video.bytefile import ParentFile
from pipeline.video.limits import Limits

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg"
CODECS = (
    "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,mpeg4,mpeg1video,mpeg2video,mjpeg,prores,dnxhd,dvvideo,"
    "h263,msmpeg4,msmpeg4v2,wmv3,vc1,ffv1"
)
_NOT_A_VIDEO = "This file is not a video that Poseline reads; upload an MP4, MOV, MKV, WebM, AVI or MPEG-TS file."


class Unreadable(Exception):
    """The upload cannot be analysed; the message is for the person who uploaded it."""


def open_video(file: ParentFile, limits: Limits) -> tuple[InputContainer, VideoStream]:
    """The container, and its first real video stream with a single-threaded decoder.

    One thread: several children run beside inference on few cores, and the outcome must not depend on timing.

    Raises:
        Unreadable: it is no video, has no picture stream, or its codec or its size is out of bounds.
    """
    if not file.size_bytes:
        raise Unreadable("This file is empty; upload it again.")
    file.seek(0)
    options = {
        "format_whitelist": FORMATS,
        "codec_whitelist": CODECS,
        "protocol_whitelist": "none",
        "max_pixels": str(limits.max_pixels),  # holds for the frames that probing decodes, too
    }
    try:
        container = av.open(file, "r", options=options, io_open=_refuse, metadata_errors="replace")
    except (av.InvalidDataError, av.ArgumentError, av.EOFError, PermissionError, UnicodeDecodeError) as error:
        raise Unreadable(_why_not(file)) from error
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise Unreadable("This file has no picture, only sound or data; upload the video itself.")
    stream = streams[0]
    context = stream.codec_context
    if context is None or context.name not in CODECS.split(","):
        name = context.name if context else "unknown"
        raise Unreadable(f"This video's codec ({name}) is not supported; export it as H.264 MP4.")
    if context.width * context.height > limits.max_pixels:
        raise too_large(context.width, context.height, limits)
    context.thread_count = 1
    context.thread_type = "NONE"
    context.options = {"max_pixels": str(limits.max_pixels), "codec_whitelist": CODECS}
    return container, stream


def too_large(width: int, height: int, limits: Limits) -> Unreadable:
    """The words for a picture over the limit."""
    return Unreadable(
        f"This video's picture is {width} x {height}; at most {limits.max_pixels / 1e6:.3g} megapixels are taken: "
        "export it smaller."
    )


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:  # noqa: ARG001 - PyAV's signature
    raise PermissionError(f"the video asks for another file, {url}")


def _why_not(file: ParentFile) -> str:
    file.seek(0)
    head = file.read(12)
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free") and not _has_box(file, b"moov"):
        return "This file is cut off before its index, so nothing in it can be found; upload it again."
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3" or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "This video's header is damaged; upload it again, or export it anew."
    return _NOT_A_VIDEO


def _has_box(file: ParentFile, name: bytes) -> bool:
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
