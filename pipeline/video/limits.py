"""What one decoder child may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Ceilings of one decoder child; over any of them it is stopped.

    Args:
        max_pixels: of one picture, width times height.
        max_frames: of one video.
        stall_s: without a frame, a byte request or a sign of work, before it is killed.
        memory_bytes: address space on top of the loaded libraries and the shared frames. Measured: H.264 at
            8192 x 4320 with 4 reference pictures takes 0.6 GiB.
        cpu_s: processor time.
    """

    max_pixels: int
    max_frames: int
    stall_s: float
    memory_bytes: int = 2 * 2**30
    cpu_s: int = 3600
