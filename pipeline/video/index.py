"""The frame index of a video, from its packets, and the reasons to turn it away. Child side.

Packets are enough where each has a pts of its own and the decoder, on the first of them, gives exactly these back.
Where not (MPEG-TS with gaps, fields coded apart, hidden frames), the whole video is decoded once instead; and where
even decoded frames have no rising times, they are counted.
"""

from __future__ import annotations

import json
import socket
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.core.spans import LARGEST_PTS
from pipeline.core.times import mend_times
from pipeline.video import wire
from pipeline.video.bytefile import ParentFile
from pipeline.video.decode import Ticker, check_memory, decode_packet, iter_packets, only
from pipeline.video.hidden import is_hidden
from pipeline.video.limits import Limits
from pipeline.video.opening import Unreadable, check_times, open_video, too_large
from pipeline.video.picture import AS_STORED, display_size, orientation
from pipeline.video.truncation import HEAD_BYTES, check_complete
from pipeline.video.wire import INDEX_ROW, Kind

# Decoded to see whether packets and frames agree. Field pairs and damage at the start show within a few.
TRIAL_PACKETS = 16
MAX_ASPECT = 32
_NO_PTS = -(2**63)
#: Codecs whose frames may be shown in another order than they are stored.
_REORDERED = {"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "vc1", "wmv3"}


@dataclass
class _Rows:
    """The index, column by column, in the order of decoding, as compact as may be: there may be millions."""

    limits: Limits
    pts: array[int] = field(default_factory=lambda: array("q"))
    position: array[int] = field(default_factory=lambda: array("q"))
    size: array[int] = field(default_factory=lambda: array("q"))
    keyframe: bytearray = field(default_factory=bytearray)
    counted: bool = False
    clock_runs_back: bool = False
    last_dts: int = _NO_PTS

    def add(self, pts: int | None, position: int, size: int, keyframe: bool, dts: int | None = None) -> None:
        self.pts.append(_NO_PTS if pts is None else pts)
        self.position.append(position)
        self.size.append(size)
        self.keyframe.append(keyframe)
        if dts is not None:
            self.clock_runs_back |= dts < self.last_dts
            self.last_dts = dts
        if len(self.pts) > self.limits.max_frames:
            raise Unreadable(
                f"This video has more than {self.limits.max_frames} frames; cut it into shorter ones and upload those."
            )

    def drop_last(self) -> None:
        for column in (self.pts, self.position, self.size, self.keyframe):
            column.pop()

    def tell_apart(self) -> bool:
        """Whether each packet is known by its pts, and the clock never is set back between them."""
        pts = np.sort(np.frombuffer(self.pts, np.int64))
        return not self.clock_runs_back and pts[0] != _NO_PTS and bool((pts[1:] != pts[:-1]).all())

    def times(self) -> list[int | None]:
        return [None if pts == _NO_PTS else pts for pts in self.pts]

    def place(self, coded: _Rows) -> None:
        """Take over where frames lie in the file from the packets of the same pts."""
        pts, coded_pts = np.frombuffer(self.pts, np.int64), np.frombuffer(coded.pts, np.int64)
        order = np.argsort(coded_pts, kind="stable")
        at = order[np.minimum(np.searchsorted(coded_pts[order], pts), len(order) - 1)]
        same = coded_pts[at] == pts
        position = np.where(same, np.frombuffer(coded.position, np.int64)[at], -1)
        size = np.where(same, np.frombuffer(coded.size, np.int64)[at], 0)
        self.position, self.size = array("q", position.tolist()), array("q", size.tolist())

    def pieces(self) -> Iterator[bytes]:
        """Rows in the order of display, as `wire.INDEX_ROW`, a record's worth at a time."""
        pts, position, size = (np.frombuffer(column, np.int64) for column in (self.pts, self.position, self.size))
        keyframe = np.frombuffer(self.keyframe, np.uint8)
        order = np.argsort(pts, kind="stable")
        for at in range(0, len(order), wire.INDEX_ROWS):
            some = order[at : at + wire.INDEX_ROWS]
            rows = np.empty(len(some), dtype=INDEX_ROW)
            rows["pts"], rows["position"], rows["size"] = pts[some], position[some], size[some]
            rows["keyframe"] = keyframe[some]
            yield rows.tobytes()


@dataclass
class _Trial:
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
    ticker = Ticker(job, limits)
    container, stream = open_video(file, limits)
    rows, trial, breaks_off = _scan_packets(container, stream, ticker, file, limits)
    if not rows.pts:
        raise Unreadable("This video has no pictures in it; upload it again, or export it anew.")
    if trial.shown is None:
        raise Unreadable("No picture of this video can be decoded; export it as H.264 MP4.")
    info = _describe(container, stream, trial.shown, limits)
    # An AVI has no display times, and FFmpeg makes them up as if frames were shown in the order that they are stored.
    made_up = container.format.name == "avi" and info["codec"] in _REORDERED
    if made_up or not (rows.tell_apart() and trial.agrees()):
        container.close()
        container, stream = open_video(file, limits)
        rows = _scan_frames(container, stream, ticker, rows, limits)
    check_times(min(rows.pts), max(rows.pts), stream.time_base, limits)
    if breaks_off:
        info["notes"].append(breaks_off)
    if rows.counted:
        info["notes"].append("The times of its frames are missing, doubled or run backwards; they were put in order.")
    info["counted"] = rows.counted
    for piece in rows.pieces():
        wire.send(job, Kind.INDEX, piece)
    wire.send(job, Kind.INFO, json.dumps(info).encode())


def _scan_packets(
    container: InputContainer, stream: VideoStream, ticker: Ticker, file: ParentFile, limits: Limits
) -> tuple[_Rows, _Trial, str | None]:
    """Every packet, the first ones decoded, and a note where the recording breaks off.

    All streams are read, since the last to end says how long the file is.
    """
    rows, trial = _Rows(limits), _Trial()
    end_s, video_end_s, cut = 0.0, 0.0, False
    codec = stream.codec_context.codec.canonical_name
    for packet in iter_packets(container, *container.streams):
        ticker.tick()
        if packet.dts is None and not packet.size:
            continue  # a flush packet
        if packet.pts is not None and packet.time_base:
            packet_end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            end_s = max(end_s, packet_end_s)
            if packet.stream_index == stream.index:
                video_end_s = max(video_end_s, packet_end_s)
        if packet.stream_index != stream.index:
            continue
        if packet.has_sidedata("encryption_info"):
            raise Unreadable("This video is encrypted; export it without copy protection.")
        hidden = is_hidden(codec, packet)
        if trial.fed < TRIAL_PACKETS:
            trial.feed(stream, packet, hidden=hidden)
            if trial.fed == TRIAL_PACKETS:
                trial.feed(stream, None)
        cut = packet.is_corrupt
        if not packet.is_discard and not hidden:  # discarded: outside an edit list, decoded for others' sake
            position = -1 if packet.pos is None else packet.pos
            pts = packet.dts if packet.pts is None else packet.pts
            rows.add(pts, position, packet.size, packet.is_keyframe, packet.dts)
    if trial.fed < TRIAL_PACKETS:
        trial.feed(stream, None)
    file.seek(0)
    breaks_off = check_complete(
        container,
        stream,
        head=file.read(HEAD_BYTES),
        size_bytes=file.size_bytes,
        video_end_s=video_end_s,
        end_s=end_s,
        cut=cut,
    )
    if breaks_off and cut and len(rows.pts) > 1:
        rows.drop_last()
    return rows, trial, breaks_off


def _scan_frames(container: InputContainer, stream: VideoStream, ticker: Ticker, coded: _Rows, limits: Limits) -> _Rows:
    """Every frame of one pass of the decoder, by its pts where these rise, else counted."""
    rows = _Rows(limits)
    only(container, stream)
    for packet in iter_packets(container, stream):
        ticker.tick()
        for frame in decode_packet(packet):
            rows.add(frame.pts, -1, 0, frame.key_frame)
    if not rows.pts:
        raise Unreadable("No picture of this video can be decoded; export it as H.264 MP4.")
    shown_pts = rows.times()
    if not _increase(shown_pts):
        known = [pts for pts in (*shown_pts, *coded.times()) if pts is not None]
        check_times(min(known, default=0), max(known, default=0), stream.time_base, limits)
        rows.counted = True
        rate, time_base = stream.guessed_rate, stream.time_base
        usual_step = round(1 / (rate * time_base)) if rate and time_base else 1
        usual_step = min(max(1, usual_step), LARGEST_PTS // len(shown_pts))
        rows.pts = array("q", mend_times(shown_pts, coded.times(), usual_step).tolist())
    else:
        rows.place(coded)
    return rows


def _increase(pts: list[int | None]) -> bool:
    return None not in pts and all(a < b for a, b in pairwise(cast("list[int]", pts)))


def _describe(container: InputContainer, stream: VideoStream, shown: VideoFrame, limits: Limits) -> dict[str, Any]:
    upright = orientation(shown)
    aspect = stream.sample_aspect_ratio
    width, height = display_size(shown.width, shown.height, upright, aspect)
    if width * height > limits.max_pixels:
        raise too_large(width, height, limits)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Unreadable(f"This video's picture is {width} x {height}, a strip; export it in its usual shape.")
    time_base = stream.time_base
    if time_base is None:
        raise Unreadable("This video's frames carry no usable times; export it as H.264 MP4.")
    notes = []
    if (width, height) != display_size(shown.width, shown.height, upright, None):
        notes.append(
            f"Its pixels are not square ({aspect}): {shown.width} x {shown.height} stored, results are in "
            f"{width} x {height} square pixels."
        )
    others = sum(not s.disposition & Disposition.attached_pic for s in container.streams.video) - 1
    if others:
        notes.append(f"It holds {others + 1} videos; the largest was taken, stream {stream.index}.")
    if upright != AS_STORED and upright.mirrored:
        notes.append("It asks to be shown mirrored; results are for the mirrored picture.")
    return {
        "width": width,
        "height": height,
        "rotation_deg": -90 * upright.quarter_turns_ccw % 360,
        "codec": stream.codec_context.codec.canonical_name,
        "container": container.format.name,
        "time_base": [time_base.numerator, time_base.denominator],
        "notes": notes,
    }
