"""The first packets, decoded, to see whether packets and frames agree. Child side."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.video.decode import check_memory

#: Field pairs and damage at the start show within a few.
TRIAL_PACKETS = 16
MAX_TRIAL_PACKETS = 3000


@dataclass
class DecodeProbe:
    """What the decoder made of the first packets."""

    fed: int = 0
    errors: int = 0
    shown: VideoFrame | None = None
    expected_pts: list[int | None] = field(default_factory=list)
    frame_pts: list[int | None] = field(default_factory=list)

    def feed(self, stream: VideoStream, packet: Packet[VideoStream] | None, *, hidden: bool = False) -> None:
        """One packet, or None to have the decoder hand out what it holds; a hidden one brings out no frame."""
        self.fed += packet is not None
        try:
            frames = stream.codec_context.decode(packet)
        except (av.FFmpegError, EOFError):
            check_memory(stream)
            self.errors += 1
            frames = []
        if packet is not None and not packet.is_discard and not hidden:
            self.expected_pts.append(packet.pts)
        for frame in frames:
            self.shown = self.shown or frame
            self.frame_pts.append(frame.pts)

    def is_over(self) -> bool:
        """Whether it has gone on for long enough; a recording may start in the middle of a long GOP."""
        return self.fed >= TRIAL_PACKETS and (self.shown is not None or self.fed >= MAX_TRIAL_PACKETS)

    def agrees(self) -> bool:
        """Whether every packet is one frame of the same pts; where damage shows, whether no frame is foreign.

        Frames that come out of order tell of a container without display times, such as H.264 in AVI.
        """
        if not increase(self.frame_pts):
            return False
        if self.errors:
            return set(self.frame_pts) <= set(self.expected_pts)
        return set(self.frame_pts) == set(self.expected_pts)


def increase(pts: list[int | None]) -> bool:
    """Whether all are there, each larger than the one before."""
    return None not in pts and all(a < b for a, b in pairwise(cast("list[int]", pts)))
