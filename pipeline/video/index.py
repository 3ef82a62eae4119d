"""The frame index of a video, from its packets, and the reasons to turn it away. Child side.

Packets are enough where each has a pts of its own and the decoder, on the first of them, gives exactly these back.
Where not (MPEG-TS with gaps, fields coded apart, hidden frames), the whole video is decoded once instead.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.video import wire
from pipeline.video.bytefile import ParentFile
from pipeline.video.decode import Ticker, check_memory, decode_packet, iter_packets, quarter_turns_ccw
from pipeline.video.limits import Limits
from pipeline.video.opening import Unreadable, open_video, too_large
from pipeline.video.truncation import check_complete
from pipeline.video.wire import INDEX_ROW, Kind

# Decoded to see whether packets and frames agree. Hidden frames and field pairs show within a few.
TRIAL_PACKETS = 48
MAX_ASPECT = 32


@dataclass
class _Rows:
    """The index, column by column, in decoding order."""

    pts: list[int | None] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    keyframe: list[bool] = field(default_factory=list)

    def add(self, pts: int | None, position: int, size: int, keyframe: bool, limits: Limits) -> None:
        self.pts.append(pts)
        self.position.append(position)
        self.size.append(size)
        self.keyframe.append(keyframe)
        if len(self.pts) > limits.max_frames:
            raise Unreadable(
                f"This video has more than {limits.max_frames} frames; cut it into shorter ones and upload those."
            )

    def has_own_pts(self) -> bool:
        return None not in self.pts and len(set(self.pts)) == len(self.pts)

    def to_bytes(self) -> bytes:
        """Rows by pts, as `wire.INDEX_ROW`."""
        rows = np.empty(len(self.pts), dtype=INDEX_ROW)
        for name in ("pts", "position", "size", "keyframe"):
            rows[name] = getattr(self, name)
        return rows[np.argsort(rows["pts"], kind="stable")].tobytes()


@dataclass
class _Trial:
    """What the decoder made of the first packets."""

    fed: int = 0
    errors: int = 0
    shown: VideoFrame | None = None
    expected_pts: list[int | None] = field(default_factory=list)
    frame_pts: list[int | None] = field(default_factory=list)

    def feed(self, stream: VideoStream, packet: Packet[VideoStream] | None) -> None:
        """One packet, or None to have the decoder hand out what it holds."""
        self.fed += packet is not None
        try:
            frames = stream.codec_context.decode(packet)
        except (av.FFmpegError, EOFError):
            check_memory(stream)
            self.errors += 1
            frames = []
        if packet is not None and not packet.is_discard:
            self.expected_pts.append(packet.pts)
        for frame in frames:
            self.shown = self.shown or frame
            self.frame_pts.append(frame.pts)

    def agrees(self) -> bool:
        """Whether every packet is one frame of the same pts; where damage shows, whether no frame is foreign.

        Frames that come out of order tell of a container without display times, such as H.264 in AVI.
        """
        if not _increase(self.frame_pts):
            return False
        if self.errors:
            return set(self.frame_pts) <= set(self.expected_pts)
        return set(self.frame_pts) == set(self.expected_pts)


def send_index(job: socket.socket, file: ParentFile, limits: Limits) -> None:
    """Index the video and send it.

    Raises:
        Unreadable: it cannot be analysed.
    """
    ticker = Ticker(job)
    container, stream = open_video(file, limits)
    rows, trial = _scan_packets(container, stream, ticker, file.size_bytes, limits)
    if not rows.pts:
        raise Unreadable("This video has no pictures in it; upload it again, or export it anew.")
    if trial.shown is None:
        raise Unreadable("No picture of this video can be decoded; export it as H.264 MP4.")
    info = _describe(container, stream, trial.shown, limits)
    if not (rows.has_own_pts() and trial.agrees()):
        container.close()
        container, stream = open_video(file, limits)
        rows = _scan_frames(container, stream, ticker, limits)
    wire.send_in_pieces(job, Kind.INDEX, rows.to_bytes(), INDEX_ROW.itemsize)
    wire.send(job, Kind.INFO, json.dumps(info).encode())


def _scan_packets(
    container: InputContainer, stream: VideoStream, ticker: Ticker, size_bytes: int, limits: Limits
) -> tuple[_Rows, _Trial]:
    """Every packet, the first ones decoded. All streams are read, since the last to end says how long the file is."""
    rows, trial = _Rows(), _Trial()
    end_s, cut = 0.0, False
    for packet in iter_packets(container, *container.streams):
        ticker.tick()
        if packet.dts is None and not packet.size:
            continue  # a flush packet
        if packet.pts is not None and packet.time_base:
            end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream_index != stream.index:
            continue
        if packet.has_sidedata("encryption_info"):
            raise Unreadable("This video is encrypted; export it without copy protection.")
        if trial.fed < TRIAL_PACKETS:
            trial.feed(stream, packet)
            if trial.fed == TRIAL_PACKETS:
                trial.feed(stream, None)
        cut = packet.is_corrupt
        if not packet.is_discard:  # those lie outside an edit list: decoded for others' sake, never shown
            position = -1 if packet.pos is None else packet.pos
            rows.add(packet.pts, position, packet.size, packet.is_keyframe, limits)
    if trial.fed < TRIAL_PACKETS:
        trial.feed(stream, None)
    check_complete(container, stream, size_bytes=size_bytes, packets=len(rows.pts), end_s=end_s, cut=cut)
    return rows, trial


def _scan_frames(container: InputContainer, stream: VideoStream, ticker: Ticker, limits: Limits) -> _Rows:
    """Every frame of one pass of the decoder.

    Raises:
        Unreadable: frames without a time of their own, or whose times run backwards.
    """
    rows = _Rows()
    for packet in iter_packets(container, stream):
        ticker.tick()
        for frame in decode_packet(packet):
            rows.add(frame.pts, -1, 0, frame.key_frame, limits)
    if not _increase(rows.pts):
        raise Unreadable("This video's frames carry no usable times; export it as H.264 MP4.")
    return rows


def _increase(pts: list[int | None]) -> bool:
    return None not in pts and all(a < b for a, b in pairwise(cast("list[int]", pts)))


def _describe(container: InputContainer, stream: VideoStream, shown: VideoFrame, limits: Limits) -> dict[str, Any]:
    width, height = shown.width, shown.height
    if width * height > limits.max_pixels:
        raise too_large(width, height, limits)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Unreadable(f"This video's picture is {width} x {height}, a strip; export it in its usual shape.")
    turns = quarter_turns_ccw(shown)
    if turns % 2:
        width, height = height, width
    time_base = stream.time_base
    if time_base is None:
        raise Unreadable("This video's frames carry no usable times; export it as H.264 MP4.")
    return {
        "width": width,
        "height": height,
        "rotation_deg": -90 * turns % 360,
        "codec": stream.codec_context.codec.canonical_name,
        "container": container.format.name,
        "time_base": [time_base.numerator, time_base.denominator],
    }
