"""Decodes the first packets to check whether packets and frames have the same pts. Child side."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.video.decode import check_memory

#: Enough to detect field pairs, and damage at the start.
PROBE_PACKETS = 16
MAX_PROBE_PACKETS = 3000


@dataclass
class DecodeProbe:
    """The decoder's results for the first packets.

    Args:
        enough: so many packets, if they gave a frame.
    """

    enough: int = PROBE_PACKETS
    packets: int = 0
    errors: int = 0
    first_frame: VideoFrame | None = None
    expected_pts: list[int | None] = field(default_factory=list)
    frame_pts: list[int | None] = field(default_factory=list)

    def feed(self, stream: VideoStream, packet: Packet[VideoStream] | None, *, invisible: bool = False) -> None:
        """Decode one packet, or None to flush the decoder. An invisible one gives no frame."""
        self.packets += packet is not None
        try:
            frames = stream.codec_context.decode(packet)
        except (av.FFmpegError, EOFError):
            check_memory(stream)
            self.errors += 1
            frames = []
        if packet is not None and not packet.is_discard and not invisible:
            self.expected_pts.append(packet.pts)
        for frame in frames:
            self.first_frame = self.first_frame or frame
            self.frame_pts.append(frame.pts)

    def is_over(self) -> bool:
        """Whether enough packets were decoded; a recording may start in the middle of a long GOP."""
        return self.packets >= self.enough and (self.first_frame is not None or self.packets >= MAX_PROBE_PACKETS)

    def agrees(self) -> bool:
        """Whether every packet gives one frame of the same pts; after errors, whether every frame's pts is a packet's.

        Frames out of order come from a container without display times, such as H.264 in AVI.
        """
        if not increase(self.frame_pts):
            return False
        if self.errors:
            return set(self.frame_pts) <= set(self.expected_pts)
        return set(self.frame_pts) == set(self.expected_pts)


def increase(pts: list[int | None]) -> bool:
    """Whether none is None, and each is larger than the one before."""
    return None not in pts and all(a < b for a, b in pairwise(cast("list[int]", pts)))
