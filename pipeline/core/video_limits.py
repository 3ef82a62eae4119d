"""The limits of one video and of one decoder child."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VideoLimits:
    """A child that exceeds one of them is stopped.

    Args:
        max_pixels: width times height of one frame.
        max_frames: of one video.
        stall_s: a child is killed after so long without a frame, a byte request or a tick.
        max_bytes: of one file; checked where it is uploaded and ingested, not by the child.
        max_duration_s: from the first frame to the last, by the container's times.
        max_streams: video, audio, subtitle and data streams of one file.
        max_cpu_s_per_frame: CPU time on one packet or frame.
        memory_bytes: address space on top of the loaded libraries and the frame pool. Measured: H.264 at 8192 x 4320
            with 4 reference frames takes 0.6 GiB.
        cpu_s: CPU time of the whole child; enough to decode a day of 1080p for its index.
    """

    max_pixels: int = 8192 * 4320
    max_frames: int = 4_000_000
    stall_s: float = 60.0
    max_bytes: int = 64 * 2**30
    max_duration_s: float = 86_400.0
    max_streams: int = 32
    max_cpu_s_per_frame: float = 10.0
    memory_bytes: int = 2 * 2**30
    cpu_s: int = 6 * 3600
