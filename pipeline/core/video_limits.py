"""What one video, and the decoder process that reads it, may take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

#: Each limit's largest value; more would not fit where it is used.
_LARGEST: Final[Mapping[str, float]] = {
    "max_bytes": 2**53,
    "max_pixels": 2**31 - 1,
    "max_frames": 2**31 - 1,
    "max_duration_s": 2**53,
    "max_streams": 10_000,
    "max_cpu_s_per_frame": 3600,
}

#: The limits that a team can have of its own.
TEAM_LIMITS: Final = tuple(_LARGEST)


@dataclass(frozen=True)
class VideoLimits:
    """The limits of one video; a decoder process that exceeds one of them is stopped.

    Args:
        max_bytes: of the file; checked where it is uploaded or ingested.
        max_pixels: of one frame, width times height.
        max_frames: of the video.
        max_duration_s: from the first frame to the last, by the container's times.
        max_streams: of the file: video, sound, subtitles, data.
        max_cpu_s_per_frame: CPU time on one packet or frame.
        stall_s: without a frame, a byte request or a sign of work, before the process is killed.
        memory_bytes: address space in addition to the loaded libraries and the shared frames. Measured: H.264 at
            8192 x 4320 with 4 reference frames takes 0.6 GiB.
        cpu_s: CPU time of the whole process; enough for a day of 1080p that has to be decoded to be indexed.

    Raises:
        ValueError: a limit is not a number of its type, not above zero, or larger than can be used.
    """

    max_bytes: int = 64 * 2**30
    max_pixels: int = 8192 * 4320
    max_frames: int = 4_000_000
    max_duration_s: float = 86_400.0
    max_streams: int = 32
    max_cpu_s_per_frame: float = 10.0
    stall_s: float = 60.0
    memory_bytes: int = 2 * 2**30
    cpu_s: int = 6 * 3600

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = int if field.type == "int" else int | float
            if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
                raise ValueError(f"{field.name} must be a number, not {value!r:.40}")
            if not 0 < value <= _LARGEST.get(field.name, math.inf):
                most = f" and at most {_LARGEST[field.name]:g}" if field.name in _LARGEST else ""
                raise ValueError(f"{field.name} must be above 0{most}, not {value!r:.40}")

    def with_team(self, own: Mapping[str, Any]) -> VideoLimits:
        """These limits with a team's own in their place.

        Raises:
            ValueError: an unknown limit, or a value that makes no sense.
        """
        unknown = sorted(set(own) - set(TEAM_LIMITS))
        if unknown:
            raise ValueError(f"{unknown[0]} is not a limit; the limits are {', '.join(TEAM_LIMITS)}")
        return replace(self, **own)

    def for_ingested(self, default: VideoLimits, width: int, height: int, frames: int) -> VideoLimits:
        """These limits for a video that was ingested: one that was lowered since must not reject it again.

        Args:
            default: the limits without the team's own.
        """
        return replace(
            self,
            max_pixels=max(self.max_pixels, default.max_pixels, width * height),
            max_frames=max(self.max_frames, frames),
            max_duration_s=_LARGEST["max_duration_s"],
            max_streams=int(_LARGEST["max_streams"]),
            max_cpu_s_per_frame=max(self.max_cpu_s_per_frame, default.max_cpu_s_per_frame),
        )
