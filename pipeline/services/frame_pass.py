"""One ordered pass over a run's frames, given to any number of sinks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from pipeline.core.frame_index import FrameIndex
from pipeline.db.frames import FrameRow


class FrameSink(Protocol):
    """Takes a run's frames in order: a tally, a check, an export, statistics."""

    def write(self, row: FrameRow) -> None:
        """Take the next frame."""


def iter_pass(rows: Iterable[FrameRow], sinks: Sequence[FrameSink]) -> Iterator[FrameRow]:
    """Give each row to every sink, then to the caller, who reports progress or stops."""
    for row in rows:
        for sink in sinks:
            sink.write(row)
        yield row


class Tally:
    """Counts what a run's summary says."""

    def __init__(self) -> None:
        self.frames = 0
        self.frames_with_people = 0
        self.poses = 0
        self.most_people = 0
        self.missing_reasons: Counter[str] = Counter()
        self._keypoints = 0
        self._confidences = 0.0

    def write(self, row: FrameRow) -> None:
        people = len(row.poses)
        self.frames += 1
        self.frames_with_people += people > 0
        self.poses += people
        self.most_people = max(self.most_people, people)
        if people:
            self._keypoints += row.poses.keypoints[..., 2].size
            self._confidences += float(row.poses.keypoints[..., 2].sum())
        if row.missing is not None:
            self.missing_reasons[row.missing] += 1

    @property
    def missing(self) -> int:
        """Frames without poses because they could not be analysed."""
        return self.missing_reasons.total()

    @property
    def confidence(self) -> float | None:
        """The mean confidence of all keypoints; None where there is nobody."""
        return round(self._confidences / self._keypoints, 4) if self._keypoints else None

    def missing_line(self) -> str | None:
        """How many frames have no poses, and why; None where all were analysed."""
        if not self.missing:
            return None
        reason = self.missing_reasons.most_common(1)[0][0]
        return f"{self.missing} of {self.frames} frames have no poses ({reason})"

    def summary(self, index: FrameIndex, chunks: int | None) -> dict[str, Any]:
        """What is kept of a run for people."""
        steps = np.diff(index.pts)
        last_frame_s = float(np.median(steps, overwrite_input=True) * index.time_base) if len(steps) else 0.0
        video_s = float((int(index.pts[-1]) - int(index.pts[0])) * index.time_base) + last_frame_s
        return {
            "frames": self.frames,
            "frames_missing": self.missing,
            "frames_with_people": self.frames_with_people,
            "poses": self.poses,
            "most_people": self.most_people,
            "confidence": self.confidence,
            "video_s": round(video_s, 3),
            "first_time_s": float(int(index.pts[0]) * index.time_base),
            "chunks": chunks,
        }
