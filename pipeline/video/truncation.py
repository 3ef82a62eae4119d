"""Detects incomplete files: FFmpeg decodes half an upload without an error, as if it were a short video."""

from __future__ import annotations

from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.video.demux import Unreadable, clock

# Durations in headers are rounded, and may leave out the last frame; a missing end is seldom this short.
SLACK_S = 1.0
SLACK_SHARE = 0.02
HEAD_BYTES = 256
#: Placeholder sizes that a recorder replaces at the end.
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
    """Compare the end of the streams with the header.

    A header that was never completed, since the recorder died, states no end: such a file is accepted as it is.

    Args:
        head: the first bytes of the file, at most `HEAD_BYTES`.
        video_end_s: when the last packet of the video stream ends.
        end_s: when the last packet of any stream ends.
        cut: whether the video's last packet is incomplete.

    Returns:
        A note for a recording that breaks off in the middle of a frame.

    Raises:
        Unreadable: the end is missing.
    """
    promised_s = _promised_s(container, stream)
    start_s = (container.start_time or 0) / 1e6  # negative where a transport stream's clock wraps
    # Matroska's duration starts at zero, not at the first frame.
    found_s = end_s if "matroska" in container.format.name else max(0.0, end_s - start_s)
    promised = True
    if "mov" in container.format.name:
        promised = not _in_fragments(stream)
        # The sample tables list each sample, also of each fragment; an index of fragments is at the start.
        lost = cut or _samples_beyond(stream, size_bytes)
        if not promised and lost:
            lost = promised_s - _listed_s(stream) > _slack_s(promised_s)
            cut = True
    elif container.format.name == "avi" and int.from_bytes(head[4:8], "little") in _UNFINISHED:
        promised = lost = False
    elif stream.frames and stream.average_rate and container.format.name == "avi":
        # The header counts the whole file's frames, dropped ones too; FFmpeg estimates durations from what it finds.
        promised_s = stream.frames / float(stream.average_rate)
        lost = video_end_s < promised_s * (1 - SLACK_SHARE) - 1 / float(stream.average_rate)
    else:
        promised = bool(container.duration)
        lost = promised and (cut or promised_s - found_s > _slack_s(promised_s))
    if lost or promised_bytes(head) > size_bytes:
        found, promise = clock(found_s), clock(promised_s)
        until = f"stops after {found} of {promise}" if promised_s > found_s and found != promise else "is cut off"
        raise Unreadable(f"This file's video {until}; upload it again.")
    if cut and not promised:
        return f"The recording breaks off in the middle of a frame, {clock(found_s)} after its start."
    return None


def promised_bytes(head: bytes) -> int:
    """The end of a Matroska segment (RFC 8794, section 4) or an AVI's first RIFF chunk by its header; 0 if unknown."""
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
    """Whether it lists more samples than its header counts, as a fragmented MP4 does."""
    return len(stream.index_entries) > stream.frames


def _listed_s(stream: VideoStream) -> float:
    """When the last listed sample begins."""
    entries = stream.index_entries
    return float(entries[len(entries) - 1].timestamp * stream.time_base) if len(entries) and stream.time_base else 0.0


def _promised_s(container: InputContainer, stream: VideoStream) -> float:
    own_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    return max(own_s, (container.duration or 0) / 1e6)


def _samples_beyond(stream: VideoStream, size_bytes: int) -> bool:
    """Whether the container lists samples of this stream that lie beyond the end of the file (MP4, MOV)."""
    return any(entry.pos + entry.size > size_bytes for entry in stream.index_entries)
