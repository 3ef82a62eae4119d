"""What one video, and one decoder child, may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VideoLimits:
    """Ceilings of one decoder child; over any of them it is stopped.

    Args:
        max_pixels: of one picture, width times height.
        max_frames: of one video.
        stall_s: without a frame, a byte request or a sign of work, before it is killed.
        max_bytes: of one video; held where it is taken in, not by the child.
        max_duration_s: from the first frame to the last, by the container's times.
        max_streams: of one file: pictures, sound, subtitles, data.
        max_cpu_s_per_frame: processor time on one packet or frame.
        memory_bytes: address space on top of the loaded libraries and the shared frames. Measured: H.264 at
            8192 x 4320 with 4 reference pictures takes 0.6 GiB.
        cpu_s: processor time of the whole child; enough for a day of 1080p that has to be decoded to be indexed.
    """

    max_pixels: int
    max_frames: int
    stall_s: float
    max_bytes: int = 64 * 2**30
    max_duration_s: float = 86_400.0
    max_streams: int = 32
    max_cpu_s_per_frame: float = 10.0
    memory_bytes: int = 2 * 2**30
    cpu_s: int = 6 * 3600
