"""Encode pictures for a live session: H.264 as a camera does in real time, or JPEG."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

import av
import cv2
from av.video.codeccontext import VideoCodecContext

from pipeline.core.letterbox import Image
from pipeline.core.live_protocol import Codec

_JPEG_QUALITY = 80
#: A keyframe at least so often, so that damage does not last.
_KEYFRAME_S = 2


class PictureEncoder(Protocol):
    """Encodes pictures one after the other. For one thread at a time."""

    def encode(self, picture: Image, *, keyframe: bool) -> tuple[bytes, bool]:
        """One frame of the live protocol, and whether it is a keyframe; it has to be one where that is asked for."""


def build_encoder(codec: Codec, width: int, height: int, fps: float) -> PictureEncoder:
    """An encoder of pictures of one size; H.264 wants even sides."""
    return H264Encoder(width, height, fps) if codec is Codec.H264 else JpegEncoder()


class JpegEncoder:
    """Encodes each picture by itself."""

    def encode(self, picture: Image, *, keyframe: bool) -> tuple[bytes, bool]:  # noqa: ARG002  each is one
        """One JPEG."""
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        if not done:
            raise ValueError("the picture cannot be encoded as a JPEG")
        return data.tobytes(), True


class H264Encoder:
    """Encodes without looking ahead: each picture gives its access unit at once (Annex B, SPS and PPS in band)."""

    def __init__(self, width: int, height: int, fps: float) -> None:
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = Fraction(1, 1000)
        context.framerate = Fraction(fps).limit_denominator(1000)
        context.thread_count = 1
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": "23",
            "forced-idr": "1",
            "g": str(max(1, round(fps * _KEYFRAME_S))),
        }
        self._context = context
        self._interval_ms = 1000 / fps
        self._count = 0

    def encode(self, picture: Image, *, keyframe: bool) -> tuple[bytes, bool]:
        """One access unit."""
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts = round(self._count * self._interval_ms)
        frame.time_base = self._context.time_base
        self._count += 1
        if keyframe:
            frame.pict_type = av.video.frame.PictureType.I
        (packet,) = self._context.encode(frame)
        return bytes(packet), bool(packet.is_keyframe)
