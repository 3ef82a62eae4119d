"""Whether a file is all there: half an upload decodes without an error in FFmpeg, and would pass for a short video."""

from __future__ import annotations

from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.video.opening import Unreadable

# Durations in headers are rounded and count the last frame in or not; a lost end is seldom this short.
SLACK_S = 1.0
SLACK_SHARE = 0.02


def check_complete(
    container: InputContainer, stream: VideoStream, *, size_bytes: int, packets: int, end_s: float, cut: bool
) -> None:
    """Hold what was found against what the header promises.

    Args:
        packets: of the video stream, found.
        end_s: when the last packet of any stream ends.
        cut: whether the video's last packet is incomplete.

    Raises:
        Unreadable: the end is missing.
    """
    promised_s = _promised_s(container, stream)
    start_s = float(container.start_time / 1e6) if container.start_time and container.start_time > 0 else 0.0
    there_s = max(0.0, end_s - start_s)
    if _samples_beyond(stream, size_bytes):
        lost = True
    elif stream.frames and container.format.name == "avi":
        # The header's count is of the whole file, but durations are estimated anew from what is there.
        lost = packets < stream.frames * (1 - SLACK_SHARE) - 1
        promised_s = stream.frames / float(stream.average_rate) if stream.average_rate else promised_s
    elif "mov" in container.format.name:
        lost = cut  # its samples are listed one by one, and all are inside
    else:
        lost = cut or promised_s - there_s > max(SLACK_S, promised_s * SLACK_SHARE)
    if lost:
        until = f"stops after {_clock(there_s)} of {_clock(promised_s)}" if promised_s > there_s else "is cut off"
        raise Unreadable(f"This file's video {until}; upload it again.")


def _promised_s(container: InputContainer, stream: VideoStream) -> float:
    own_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    return max(own_s, (container.duration or 0) / 1e6)


def _samples_beyond(stream: VideoStream, size_bytes: int) -> bool:
    """Whether the container lists samples of this stream that lie beyond the end of the file (MP4, MOV)."""
    return any(entry.pos + entry.size > size_bytes for entry in stream.index_entries)


def _clock(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
