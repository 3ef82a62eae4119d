"""Read what browsers are sent, value by value and in plain Python, as the pages' own decoder does it in TypeScript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core import frame_table, pose_segment
from pipeline.core.packed import unpack


@dataclass(frozen=True)
class ReadSegment:
    """A segment.

    Attributes:
        states: of each frame.
        people: for each frame its people: score, box, and keypoints, float64 `(k, 3)`.
    """

    header: dict[str, Any]
    states: list[int]
    people: list[list[tuple[float, list[float], npt.NDArray[np.float64]]]]


def read_segment(data: bytes) -> ReadSegment:
    """Decode `PLPS`."""
    header, rest = unpack(pose_segment.MAGIC, data)
    frames, poses, keypoints = header["frames"], header["poses"], header["keypoints"]
    take = _Taker(rest)
    states = list(take.bytes(frames))
    counts = np.frombuffer(take.bytes(2 * frames), "<u2").tolist()
    scores = [byte / 255 for byte in take.bytes(poses)]
    boxes = take.coordinates(4, poses, header["units_a_px"]) if poses else []
    places = take.coordinates(2 * keypoints, poses, header["units_a_px"]) if poses else []
    confidences = [take.sums(poses) for _ in range(keypoints)]
    assert take.left == 0
    people: list[list[tuple[float, list[float], npt.NDArray[np.float64]]]] = [[] for _ in range(frames)]
    at = 0
    for rank in range(max(counts, default=0)):
        for frame, count in enumerate(counts):
            if rank < count:
                points = [
                    (places[k][at], places[keypoints + k][at], confidences[k][at] / 255) for k in range(keypoints)
                ]
                people[frame].append(
                    (scores[at], [column[at] for column in boxes], np.array(points).reshape(keypoints, 3))
                )
                at += 1
    return ReadSegment(header, states, people)


def read_frame_table(data: bytes) -> tuple[dict[str, Any], list[int]]:
    """Decode `PLFT`: the header, and every frame's pts."""
    header, rest = unpack(frame_table.MAGIC, data)
    steps = np.frombuffer(rest, "<u4").astype(object)
    if header["wide"]:
        low, high = np.split(steps, 2)
        steps = low + high * 2**32
    pts = [int(header["first_pts"])] if header["frames"] else []
    for step in steps:
        pts.append(pts[-1] + int(step))
    return header, pts


class _Taker:
    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def bytes(self, count: int) -> bytes:
        self._at += count
        return bytes(self._data[self._at - count : self._at])

    def sums(self, count: int) -> list[int]:
        total, sums = 0, []
        for byte in self.bytes(count):
            total = (total + byte) % 256
            sums.append(total)
        return sums

    def coordinates(self, columns: int, count: int, units: int) -> list[list[float]]:
        low, high = self.bytes(columns * count), self.bytes(columns * count)
        read = []
        for column in range(columns):
            total, values = 0, []
            for at in range(column * count, (column + 1) * count):
                zigzag = low[at] | high[at] << 8
                total = (total + ((zigzag >> 1) ^ -(zigzag & 1))) % 2**16
                values.append((total - 2**16 if total >= 2**15 else total) / units)
            read.append(values)
        return read
