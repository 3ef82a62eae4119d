"""Build the frame index of a video from its packets, or reject the video. Child side.

Packets are enough where each has a pts of its own and the decoder returns exactly these for the first of them. Else
(MPEG-TS with gaps, separately coded fields, invisible frames) the whole video is decoded once; where even the decoded
frames' pts do not rise, frames are indexed by position.
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
from pipeline.core.preview_tag import read_preview_tag
from pipeline.core.video_limits import VideoLimits
from pipeline.video import wire
from pipeline.video.byte_channel import ByteChannelFile
from pipeline.video.decode import Ticker, decode_packet, discard_other_streams, iter_packets
from pipeline.video.decode_probe import DecodeProbe, increase
from pipeline.video.demux import Unreadable, check_times, open_video, too_large
from pipeline.video.frame_converter import display_size, orientation
from pipeline.video.index_columns import IndexColumns
from pipeline.video.invisible_packets import is_invisible
from pipeline.video.truncation import HEAD_BYTES, check_complete
from pipeline.video.wire import RecordKind

MAX_ASPECT = 32
#: Codecs whose frames may be coded as two fields.
_IN_FIELDS = {"h264", "mpeg2video", "vc1"}
#: Codecs whose frames may be shown in another order than they are stored.
_REORDERED = {"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "vc1", "wmv3"}


def send_index(job: socket.socket, file: ByteChannelFile, limits: VideoLimits, *, wants_index: bool = True) -> None:
    """Index the video and send the index, or only what it says of itself.

    Without an index every packet is read, too, but no more is decoded than its first frame.

    Raises:
        Unreadable: the video cannot be analysed.
    """
    ticker = Ticker(job, limits)
    container, stream = open_video(file, limits)
    own = next(
        (
            run
            for key, text in container.metadata.items()
            if key.lower() == "comment" and (run := read_preview_tag(text))
        ),
        None,
    )
    if own is not None:
        wire.send(job, RecordKind.OWN_PREVIEW, str(own).encode())
        return
    decode_probe = DecodeProbe() if wants_index else DecodeProbe(enough=1)
    rows, breaks_off = _scan_packets(container, stream, decode_probe, ticker, file, limits)
    if not rows.pts:
        raise Unreadable("This video has no frames in it; upload it again, or export it again.")
    if decode_probe.first_frame is None:
        raise Unreadable("No frame of this video can be decoded; export it as H.264 MP4.")
    info = _describe(container, stream, decode_probe.first_frame, limits)
    by_packets = not _needs_decoding(container, info["codec"], rows) and rows.has_unique_pts()
    if not wants_index:
        if by_packets:
            check_times(min(rows.pts), max(rows.pts), stream.time_base, limits)
        wire.send(job, RecordKind.INFO, json.dumps(info).encode())
        return
    if not (by_packets and decode_probe.agrees()):
        container.close()
        container, stream = open_video(file, limits)
        rows = _scan_frames(container, stream, ticker, rows, limits)
    if container.format.name == "avi" and not rows.indexed_by_position and not _seek_leads_to(file, limits, rows):
        rows.only_first_is_key()
    ticker.tick()
    check_times(min(rows.pts), max(rows.pts), stream.time_base, limits)
    if breaks_off:
        info["notes"].append(breaks_off)
    if rows.indexed_by_position:
        info["notes"].append("The times of its frames are missing, doubled or run backwards; they were put in order.")
    info["indexed_by_position"] = rows.indexed_by_position
    for piece in rows.iter_records():
        wire.send(job, RecordKind.INDEX, piece)
    wire.send(job, RecordKind.INFO, json.dumps(info).encode())


def _needs_decoding(container: InputContainer, codec: str, rows: IndexColumns) -> bool:
    """Whether packets do not give the number and the times of frames, whatever the first ones look like.

    An AVI has no display times; FFmpeg assumes that frames are shown in the order in which they are stored. In a
    transport or program stream the fields of a frame may become packets of their own at any time.
    """
    if container.format.name == "avi":
        return codec in _REORDERED
    return container.format.name in {"mpegts", "mpeg"} and codec in _IN_FIELDS and rows.is_uneven()


def _seek_leads_to(file: ByteChannelFile, limits: VideoLimits, rows: IndexColumns) -> bool:
    """Whether a seek finds the last keyframe: not in an AVI without an index, or with a wrong one."""
    last = rows.last_key()
    if last <= 0:
        return True
    container, stream = open_video(file, limits)  # opened again: the demuxer has indexed what it read
    discard_other_streams(container, stream)
    try:
        container.seek(rows.pts[last], stream=stream)
        packet = next((p for p in iter_packets(container, stream) if p.is_keyframe), None)
    except (av.FFmpegError, OverflowError):
        return False
    return packet is not None and packet.pts == rows.pts[last] and packet.pos == rows.position[last]


def _scan_packets(
    container: InputContainer,
    stream: VideoStream,
    decode_probe: DecodeProbe,
    ticker: Ticker,
    file: ByteChannelFile,
    limits: VideoLimits,
) -> tuple[IndexColumns, str | None]:
    """Read every packet and give the first ones to the probe. Also returns a note where the recording breaks off.

    All streams are read, since the last one to end gives the duration of the file.
    """
    rows = IndexColumns(limits)
    cut, probing = False, True
    ends: dict[int, int] = {}  # stream -> when its last packet ends, in its time base: fractions take long
    codec, video_number = stream.codec_context.codec.canonical_name, stream.index
    for packet in iter_packets(container, *container.streams):
        ticker.tick()
        pts, dts, size, number = packet.pts, packet.dts, packet.size, packet.stream_index
        if dts is None and not size:
            continue  # a flush packet
        if pts is not None:
            end = pts + (packet.duration or 0)
            if number not in ends or end > ends[number]:
                ends[number] = end
        if number != video_number:
            continue
        for side in packet.iter_sidedata():  # mostly none; `has_sidedata` takes five times as long
            if side.data_type == "encryption_info":
                raise Unreadable("This video is encrypted; export it without copy protection.")
        invisible = is_invisible(codec, packet)
        if probing:
            decode_probe.feed(stream, packet, invisible=invisible)
            if decode_probe.is_over():
                decode_probe.feed(stream, None)
                probing = False
        cut = packet.is_corrupt
        if not packet.is_discard and not invisible:  # discarded: outside the edit list, only a reference
            position = packet.pos
            rows.add(dts if pts is None else pts, -1 if position is None else position, size, packet.is_keyframe, dts)
    if probing:
        decode_probe.feed(stream, None)
    ticker.tick()
    ends_s = {at: max(0.0, float(end * (container.streams[at].time_base or 0))) for at, end in ends.items()}
    file.seek(0)
    breaks_off = check_complete(
        container,
        stream,
        head=file.read(HEAD_BYTES),
        size_bytes=file.size_bytes,
        video_end_s=ends_s.get(video_number, 0.0),
        end_s=max(ends_s.values(), default=0.0),
        cut=cut,
    )
    if breaks_off and cut and len(rows.pts) > 1:
        rows.drop_last()
    return rows, breaks_off


def _scan_frames(
    container: InputContainer, stream: VideoStream, ticker: Ticker, coded: IndexColumns, limits: VideoLimits
) -> IndexColumns:
    """Index every frame of one pass of the decoder by its pts, or by position where pts do not rise."""
    rows = IndexColumns(limits)
    discard_other_streams(container, stream)
    for packet in iter_packets(container, stream):
        ticker.tick()
        for frame in decode_packet(packet):
            rows.add(frame.pts, -1, 0, frame.key_frame)
    if not rows.pts:
        raise Unreadable("No frame of this video can be decoded; export it as H.264 MP4.")
    shown_pts = rows.times()
    if not increase(shown_pts):
        known = [pts for pts in (*shown_pts, *coded.times()) if pts is not None]
        check_times(min(known, default=0), max(known, default=0), stream.time_base, limits)
        rows.indexed_by_position = True
        rate, time_base = stream.guessed_rate, stream.time_base
        usual_step = round(1 / (rate * time_base)) if rate and time_base else 1
        usual_step = min(max(1, usual_step), LARGEST_PTS // len(shown_pts))
        rows.pts = array("q", repair_times(shown_pts, coded.times(), usual_step).tolist())
    else:
        rows.set_positions(coded)
    return rows


def _describe(container: InputContainer, stream: VideoStream, shown: VideoFrame, limits: VideoLimits) -> dict[str, Any]:
    oriented = orientation(shown)
    aspect = stream.sample_aspect_ratio
    width, height = display_size(shown.width, shown.height, oriented, aspect)
    if width * height > limits.max_pixels:
        raise too_large(width, height, limits)
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Unreadable(f"This video's frame is {width} x {height}, too narrow; export it in its usual shape.")
    time_base = stream.time_base
    if time_base is None:
        raise Unreadable("This video's frames carry no usable times; export it as H.264 MP4.")
    notes = []
    if (width, height) != display_size(shown.width, shown.height, oriented, None):
        notes.append(
            f"Its pixels are not square ({aspect}): {shown.width} x {shown.height} stored, results are in "
            f"{width} x {height} square pixels."
        )
    others = sum(not s.disposition & Disposition.attached_pic for s in container.streams.video) - 1
    if others:
        notes.append(f"It holds {others + 1} videos; the largest was taken, stream {stream.index}.")
    if oriented.mirrored:
        notes.append("It is displayed mirrored; results are for the mirrored image.")
    return {
        "width": width,
        "height": height,
        "rotation_deg": -90 * oriented.quarter_turns_ccw % 360,
        "codec": stream.codec_context.codec.canonical_name,
        "container": container.format.name,
        "time_base": [time_base.numerator, time_base.denominator],
        "notes": notes,
    }
