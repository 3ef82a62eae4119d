"""Whether a run's frames are those of its video: each once, no others, each at its own time.

A run becomes `done` only by this check, and `poseline verify` repeats it with an index made again from the video.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.core.frame_index import FrameIndex

_NAMED = 3


@dataclass(frozen=True)
class Findings:
    """What is wrong, as frame numbers, the first of each kind; nothing is, where all are empty.

    Args:
        rows: how many rows there were.
        lost: frames of the video without a row.
        doubled: frames of the video with more rows than one.
        foreign: rows that are no frame of the video.
        misplaced: rows whose time is another frame's.
    """

    rows: int
    lost: int = 0
    doubled: int = 0
    foreign: int = 0
    misplaced: int = 0
    examples: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.foreign or self.misplaced)

    def __str__(self) -> str:
        kinds = (
            (self.lost, "missing"),
            (self.doubled, "doubled"),
            (self.foreign, "foreign"),
            (self.misplaced, "out of order"),
        )
        wrong = ", ".join(f"{count} {kind}" for count, kind in kinds if count)
        return f"{wrong} ({'; '.join(self.examples)})" if wrong else "every frame once, in order"


class FrameOfRun(Protocol):
    """A row of a run, as far as this check reads it."""

    @property
    def frame(self) -> int: ...

    @property
    def pts(self) -> int: ...


class FrameCheck:
    """Takes a run's rows by rising frame number, then says what is wrong with them."""

    def __init__(self, index: FrameIndex) -> None:
        self._index = index
        self._times_seen = np.zeros(len(index), np.uint8)
        self._rows = 0
        self._foreign: list[tuple[int, int]] = []
        self._foreign_count = 0
        self._elsewhere: dict[int, list[int]] = {}  # frame whose time it is -> rows that carry it

    def write(self, row: FrameOfRun) -> None:
        """Take the next row."""
        self.add(row.frame, row.pts)

    def add(self, frame: int, pts: int) -> None:
        """Take the next row by its number and time."""
        self._rows += 1
        index = self._index
        if 0 <= frame < len(index) and index.pts[frame] == pts:
            self._count(frame)
            return
        at = int(np.searchsorted(index.pts, pts))
        if at < len(index) and index.pts[at] == pts:
            self._count(at)
            self._elsewhere.setdefault(at, []).append(frame)
        else:
            self._foreign_count += 1
            if len(self._foreign) < _NAMED:
                self._foreign.append((frame, pts))

    def findings(self) -> Findings:
        """The verdict on the rows so far."""
        lost = np.flatnonzero(self._times_seen == 0)
        doubled = np.flatnonzero(self._times_seen > 1)
        misplaced = [no for of, rows in self._elsewhere.items() if self._times_seen[of] == 1 for no in rows]
        return Findings(
            rows=self._rows,
            lost=len(lost),
            doubled=len(doubled),
            foreign=self._foreign_count,
            misplaced=len(misplaced),
            examples=tuple(self._examples(lost[:_NAMED].tolist(), doubled[:_NAMED].tolist(), misplaced[:_NAMED])),
        )

    def _count(self, frame: int) -> None:
        self._times_seen[frame] = min(2, self._times_seen[frame] + 1)

    def _examples(self, lost: list[int], doubled: list[int], misplaced: list[int]) -> Iterator[str]:
        pts = self._index.pts
        yield from (f"frame {no} at pts {pts[no]} has no row" for no in lost)
        yield from (f"frame {no} at pts {pts[no]} has several rows" for no in doubled)
        yield from (f"row {no} at pts {at} is no frame of the video" for no, at in self._foreign)
        yield from (f"row {no} has the time of another frame" for no in misplaced)
