"""Builds a frame index column by column, in the order of decoding. Child side."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pipeline.core.video_limits import VideoLimits
from pipeline.video import wire
from pipeline.video.demux import Unreadable

_NO_PTS = -(2**63)


@dataclass
class IndexColumns:
    """The columns of an index in compact arrays: there may be millions of rows."""

    limits: VideoLimits
    pts: array[int] = field(default_factory=lambda: array("q"))
    position: array[int] = field(default_factory=lambda: array("q"))
    size: array[int] = field(default_factory=lambda: array("q"))
    keyframe: bytearray = field(default_factory=bytearray)
    indexed_by_position: bool = False
    dts_decrease: bool = False
    last_dts: int = _NO_PTS

    def add(self, pts: int | None, position: int, size: int, keyframe: bool, dts: int | None = None) -> None:
        self.pts.append(_NO_PTS if pts is None else pts)
        self.position.append(position)
        self.size.append(size)
        self.keyframe.append(keyframe)
        if dts is not None:
            self.dts_decrease |= dts < self.last_dts
            self.last_dts = dts
        if len(self.pts) > self.limits.max_frames:
            raise Unreadable(
                f"This video has more than {self.limits.max_frames} frames; cut it into shorter ones and upload those."
            )

    def only_first_is_key(self) -> None:
        """Mark only the first frame as a keyframe, for a file in which seeks do not work."""
        self.keyframe = bytearray(len(self.keyframe))
        self.keyframe[int(np.argmin(np.frombuffer(self.pts, np.int64)))] = True

    def last_key(self) -> int:
        """The row of the last keyframe, in the order of decoding; -1 for none."""
        return self.keyframe.rfind(1)

    def is_uneven(self) -> bool:
        """Whether times are not evenly spaced, as with separately coded fields."""
        steps = np.diff(np.sort(np.frombuffer(self.pts, np.int64)))
        return bool(len(steps)) and int(steps.max()) > 1.5 * int(steps.min())

    def drop_last(self) -> None:
        for column in (self.pts, self.position, self.size, self.keyframe):
            column.pop()

    def has_unique_pts(self) -> bool:
        """Whether each packet has a pts of its own, and dts never decrease."""
        pts = np.sort(np.frombuffer(self.pts, np.int64))
        return not self.dts_decrease and pts[0] != _NO_PTS and bool((pts[1:] != pts[:-1]).all())

    def times(self) -> list[int | None]:
        return [None if pts == _NO_PTS else pts for pts in self.pts]

    def set_positions(self, coded: IndexColumns) -> None:
        """Set positions and sizes from the packets of the same pts."""
        pts, coded_pts = np.frombuffer(self.pts, np.int64), np.frombuffer(coded.pts, np.int64)
        order = np.argsort(coded_pts, kind="stable")
        at = order[np.minimum(np.searchsorted(coded_pts[order], pts), len(order) - 1)]
        same = coded_pts[at] == pts
        position = np.where(same, np.frombuffer(coded.position, np.int64)[at], -1)
        size = np.where(same, np.frombuffer(coded.size, np.int64)[at], 0)
        self.position, self.size = array("q", position.tolist()), array("q", size.tolist())

    def iter_records(self) -> Iterator[bytes]:
        """Yield `wire.INDEX_ROW` rows in the order of display, as many at a time as fit into a record."""
        pts, position, size = (np.frombuffer(column, np.int64) for column in (self.pts, self.position, self.size))
        keyframe = np.frombuffer(self.keyframe, np.uint8)
        order = np.argsort(pts, kind="stable")
        for at in range(0, len(order), wire.ROWS_PER_RECORD):
            part = order[at : at + wire.ROWS_PER_RECORD]
            rows = np.empty(len(part), dtype=wire.INDEX_ROW)
            rows["pts"], rows["position"], rows["size"] = (
                pts[part],
                position[part],
                size[part],
            )
            rows["keyframe"] = keyframe[part]
            yield rows.tobytes()
