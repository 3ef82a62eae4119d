"""The baseline of decoding: PyAV in one thread, without sandbox or parent process; and clips looped by their packets.

The baseline has every other advantage of the decoder child: the same memory settings and the same conversion.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame

from pipeline.video.demux import CODECS
from pipeline.video.frame_converter import FrameConverter, display_size, orientation


def iter_frames_plainly(path: Path) -> Iterator[VideoFrame]:
    """Yield every frame of a local video, decoded by one thread in this process."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        stream.codec_context.options = {"codec_whitelist": CODECS}
        yield from container.decode(stream)


def iter_squares(path: Path, side_px: int) -> Iterator[np.ndarray]:
    """Yield every frame as uint8 `[side, side, 3]` BGR; the array is reused."""
    cv2.setNumThreads(1)
    square, converter = np.empty((side_px, side_px, 3), np.uint8), None
    for frame in iter_frames_plainly(path):
        converter = converter or converter_of(frame, side_px)
        converter.write(frame, square)
        yield square


def converter_of(frame: VideoFrame, side_px: int) -> FrameConverter:
    """The converter of a video, from its first frame; pixels count as square."""
    return FrameConverter(display_size(frame.width, frame.height, orientation(frame), None), side_px)


def loop_clip(clip: Path, path: Path, times: int, *, frames: int | None = None) -> Path:
    """Copy the packets of an MP4 without gaps `times` times in a row, unchanged, at rising times.

    Args:
        frames: of the clip that are copied; all of them where it is not given.
    """
    part = path.with_name(f".{path.name}.part")
    with (
        av.open(str(clip)) as source,
        av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        found = source.streams.video[0]
        packets = [packet for packet in source.demux(found) if packet.size][:frames]
        assert found.time_base is not None
        assert found.average_rate is not None
        period = round(len(packets) / found.average_rate / found.time_base)
        stream = container.add_stream_from_template(found)
        for turn in range(times):
            for packet in packets:
                copy = Packet(bytes(packet))
                assert packet.pts is not None
                assert packet.dts is not None
                copy.pts, copy.dts = packet.pts + turn * period, packet.dts + turn * period
                copy.time_base, copy.duration = found.time_base, packet.duration
                copy.is_keyframe = packet.is_keyframe
                copy.stream = stream
                container.mux(copy)
    part.replace(path)
    return path
