"""How much of a night's budget is left, and which chunks of a run still fit into it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """The most that one pass analyses, and what it was given of it.

    Args:
        frames, video_s: None without a limit.
        frames_given, video_s_given: so far.
    """

    frames: int | None
    video_s: float | None
    frames_given: int = 0
    video_s_given: float = 0.0

    def room_frames(self, frames_per_s: float) -> float:
        """How many frames of a video with so many frames per second fit; infinite without a limit."""
        by_frames = math.inf if self.frames is None else self.frames - self.frames_given
        by_time = math.inf if self.video_s is None else (self.video_s - self.video_s_given) * frames_per_s
        return max(min(by_frames, by_time), 0.0)

    def less(self, frames: int, frames_per_s: float) -> Budget:
        """What is left once so many frames more are given."""
        return Budget(self.frames, self.video_s, self.frames_given + frames, self.video_s_given + frames / frames_per_s)


def count_fitting(chunk_frames: Sequence[int], room_frames: float) -> int:
    """How many chunks from the first on have together no more than `room_frames` frames."""
    total = 0
    for count, frames in enumerate(chunk_frames):
        total += frames
        if total > room_frames:
            return count
    return len(chunk_frames)
