"""Whether a file is all there: half an upload decodes without an error in FFmpeg, and would pass for a short video."""

from __future__ import annotations

from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.video.demux import Unreadable, clock

# Durations in headers are rounded and count the last frame in or not; a lost end is seldom this short.
SLACK_S = 1.0
SLACK_SHARE = 0.02
HEAD_BYTES = 256
#: What a recorder writes that means to fill it in at the end.
_UNFINISHED = {0, 2**32 - 1}
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"


def check_complete(
    container: InputContainer,
    stream: VideoStream,
    *,
    head: bytes,
    size_bytes: int,
    video_end_s: float,
    end_s: float,
    cut: bool,
) -> str | None:
    """Hold what was found against what the header promises.

    A recording whose recorder died promises nothing: what there is of it is taken, and said to be all there is.

    Args:
        head: the first bytes of the file, `HEAD_BYTES` of them at most.
        video_end_s: when the last packet of the video stream ends.
        end_s: when the last packet of any stream ends.
        cut: whether the video's last packet is incomplete.

    Returns:
        A note for a recording that breaks off in the middle of a frame.

    Raises:
        Unreadable: the end is missing.
    """
    promised_s = _promised_s(container, stream)
    start_s = (container.start_time or 0) / 1e6  # below zero before a transport stream's clock wraps
    # Matroska counts its duration from zero, whenever its first frame may come.
    there_s = end_s if "matroska" in container.format.name else max(0.0, end_s - start_s)
    promised = True
    if "mov" in container.format.name:
        promised = not _in_fragments(stream)
        # Samples are listed one by one, and so are those of each fragment; an index of fragments comes first.
        lost = cut or _samples_beyond(stream, size_bytes)
        if not promised and lost:
            lost = promised_s - _listed_s(stream) > _slack_s(promised_s)
            cut = True
    elif container.format.name == "avi" and int.from_bytes(head[4:8], "little") in _UNFINISHED:
        promised = lost = False
    elif stream.frames and stream.average_rate and container.format.name == "avi":
        # The header's count is of the whole file, dropped frames too; durations are estimated from what is there.
        promised_s = stream.frames / float(stream.average_rate)
        lost = video_end_s < promised_s * (1 - SLACK_SHARE) - 1 / float(stream.average_rate)
    else:
        promised = bool(container.duration)
        lost = promised and (cut or promised_s - there_s > _slack_s(promised_s))
    if lost or promised_bytes(head) > size_bytes:
        there, promise = clock(there_s), clock(promised_s)
        until = f"stops after {there} of {promise}" if promised_s > there_s and there != promise else "is cut off"
        raise Unreadable(f"This file's video {until}; upload it again.")
    if cut and not promised:
        return f"The recording breaks off in the middle of a frame, {clock(there_s)} after its start."
    return None


def promised_bytes(head: bytes) -> int:
    """Where a Matroska segment (RFC 8794, section 4) or an AVI's first RIFF chunk says that it ends; 0 if unsaid."""
    if head[:4] == b"RIFF" and len(head) >= 8:
        size = int.from_bytes(head[4:8], "little")
        return 0 if size in _UNFINISHED else 8 + size
    at = 0
    for name in (_EBML, _SEGMENT):
        length = 9 - head[at + 4].bit_length() if len(head) > at + 4 else 9
        if head[at : at + 4] != name or length > 8 or len(head) < at + 4 + length:
            return 0
        at += 4 + length
        unknown = (1 << 7 * length) - 1
        size = int.from_bytes(head[at - length : at], "big") & unknown
        if name == _SEGMENT:
            return 0 if size == unknown else at + size
        at += size
    return 0


def _slack_s(promised_s: float) -> float:
    return max(SLACK_S, promised_s * SLACK_SHARE)


def _in_fragments(stream: VideoStream) -> bool:
    """Whether more samples are listed than the header counts, as in an MP4 that was written piece by piece."""
    return len(stream.index_entries) > stream.frames


def _listed_s(stream: VideoStream) -> float:
    """When the last sample that is listed begins."""
    entries = stream.index_entries
    return float(entries[len(entries) - 1].timestamp * stream.time_base) if len(entries) and stream.time_base else 0.0


def _promised_s(container: InputContainer, stream: VideoStream) -> float:
    own_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    return max(own_s, (container.duration or 0) / 1e6)


def _samples_beyond(stream: VideoStream, size_bytes: int) -> bool:
    """Whether the container lists samples of this stream that lie beyond the end of the file (MP4, MOV)."""
    return any(entry.pos + entry.size > size_bytes for entry in stream.index_entries)
