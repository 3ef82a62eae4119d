"""The frame index of a video, from its packets, and the reasons to turn it away. Child side.

Packets are enough where each has a pts of its own and the decoder, on the first of them, gives exactly these back.
Where not (MPEG-TS with gaps, fields coded apart, hidden frames), the whole video is decoded once instead; and where
even decoded frames have no rising times, they are counted.
"""

from __future__ import annotations

import json
import socket
from array import array
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.core.frame_index import LARGEST_PTS
from pipeline.core.frame_times import repair_times
from pipeline.core.video_limits import VideoLimits
from pipeline.video import wire
from pipeline.video.byte_channel import ByteChannelFile
from pipeline.video.decode import Ticker, decode_packet, iter_packets, only
from pipeline.video.decode_probe import DecodeProbe, increase
from pipeline.video.demux import Unreadable, check_times, open_video, too_large
from pipeline.video.frame_converter import AS_STORED, display_size, orientation
from pipeline.video.hidden_packets import is_hidden
from pipeline.video.index_builder import IndexBuilder
from pipeline.video.truncation import HEAD_BYTES, check_complete
from pipeline.video.wire import Kind

MAX_ASPECT = 32
#: Codecs whose frames may be coded as two fields.
_IN_FIELDS = {"h264", "mpeg2video", "vc1"}
#: Codecs whose frames may be shown in another order than they are stored.
_REORDERED = {"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "vc1", "wmv3"}


def send_index(job: socket.socket, file: ByteChannelFile, limits: VideoLimits) -> None:
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
    if _needs_decoding(container, info["codec"], rows) or not (rows.tell_apart() and trial.agrees()):
        container.close()
        container, stream = open_video(file, limits)
        rows = _scan_frames(container, stream, ticker, rows, limits)
    if container.format.name == "avi" and not rows.counted and not _seek_leads_to(file, limits, rows):
        rows.only_first_is_key()
    ticker.tick()
    check_times(min(rows.pts), max(rows.pts), stream.time_base, limits)
    if breaks_off:
        info["notes"].append(breaks_off)
    if rows.counted:
        info["notes"].append("The times of its frames are missing, doubled or run backwards; they were put in order.")
    info["counted"] = rows.counted
    for piece in rows.pieces():
        wire.send(job, Kind.INDEX, piece)
    wire.send(job, Kind.INFO, json.dumps(info).encode())


def _needs_decoding(container: InputContainer, codec: str, rows: IndexBuilder) -> bool:
    """Whether packets cannot tell how many frames there are or when, however the first ones look.

    An AVI has no display times, and FFmpeg makes them up as if frames were shown in the order that they are stored.
    In a transport or program stream the fields of a frame may become packets of their own at any time.
    """
    if container.format.name == "avi":
        return codec in _REORDERED
    return container.format.name in {"mpegts", "mpeg"} and codec in _IN_FIELDS and rows.is_uneven()


def _seek_leads_to(file: ByteChannelFile, limits: VideoLimits, rows: IndexBuilder) -> bool:
    """Whether a seek finds the last keyframe: an AVI without an index, or with a wrong one, has to be read through."""
    last = rows.last_key()
    if last <= 0:
        return True
    container, stream = open_video(file, limits)  # anew: what was read through is known by heart
    only(container, stream)
    try:
        container.seek(rows.pts[last], stream=stream)
        packet = next((p for p in iter_packets(container, stream) if p.is_keyframe), None)
    except (av.FFmpegError, OverflowError):
        return False
    return packet is not None and packet.pts == rows.pts[last] and packet.pos == rows.position[last]


def _scan_packets(
    container: InputContainer, stream: VideoStream, ticker: Ticker, file: ByteChannelFile, limits: VideoLimits
) -> tuple[IndexBuilder, DecodeProbe, str | None]:
    """Every packet, the first ones decoded, and a note where the recording breaks off.

    All streams are read, since the last to end says how long the file is.
    """
    rows, trial = IndexBuilder(limits), DecodeProbe()
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
        if not trial.is_over():
            trial.feed(stream, packet, hidden=hidden)
            if trial.is_over():
                trial.feed(stream, None)
        cut = packet.is_corrupt
        if not packet.is_discard and not hidden:  # discarded: outside an edit list, decoded for others' sake
            position = -1 if packet.pos is None else packet.pos
            pts = packet.dts if packet.pts is None else packet.pts
            rows.add(pts, position, packet.size, packet.is_keyframe, packet.dts)
    if not trial.is_over():
        trial.feed(stream, None)
    ticker.tick()
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


def _scan_frames(
    container: InputContainer, stream: VideoStream, ticker: Ticker, coded: IndexBuilder, limits: VideoLimits
) -> IndexBuilder:
    """Every frame of one pass of the decoder, by its pts where these rise, else counted."""
    rows = IndexBuilder(limits)
    only(container, stream)
    for packet in iter_packets(container, stream):
        ticker.tick()
        for frame in decode_packet(packet):
            rows.add(frame.pts, -1, 0, frame.key_frame)
    if not rows.pts:
        raise Unreadable("No picture of this video can be decoded; export it as H.264 MP4.")
    shown_pts = rows.times()
    if not increase(shown_pts):
        known = [pts for pts in (*shown_pts, *coded.times()) if pts is not None]
        check_times(min(known, default=0), max(known, default=0), stream.time_base, limits)
        rows.counted = True
        rate, time_base = stream.guessed_rate, stream.time_base
        usual_step = round(1 / (rate * time_base)) if rate and time_base else 1
        usual_step = min(max(1, usual_step), LARGEST_PTS // len(shown_pts))
        rows.pts = array("q", repair_times(shown_pts, coded.times(), usual_step).tolist())
    else:
        rows.place(coded)
    return rows


def _describe(container: InputContainer, stream: VideoStream, shown: VideoFrame, limits: VideoLimits) -> dict[str, Any]:
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
