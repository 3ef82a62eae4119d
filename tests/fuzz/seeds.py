"""The seeds of fuzzing: small valid videos, one for every supported container and codec."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import numpy as np

from tests.support.video_maker import paint, usual_priority


@dataclass(frozen=True)
class Seed:
    """A valid video, and by which structure it can be taken apart."""

    name: str
    family: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class _Recipe:
    """How a seed is made; `x` are options of the encoder, `mux` of the container."""

    codec: str
    suffix: str
    frames: int = 20
    b_frames: int = 0
    pix_fmt: str = "yuv420p"
    x: Mapping[str, str] = field(default_factory=dict)
    mux: Mapping[str, str] = field(default_factory=dict)
    sound: str | None = None
    width: int = 96
    turned: bool = False


_FAMILIES = {".mp4": "boxes", ".mov": "boxes", ".mkv": "ebml", ".webm": "ebml", ".avi": "riff", ".ts": "ts"}
_QUICK = {"preset": "ultrafast", "threads": "1", "crf": "20"}
_X264 = {**_QUICK, "x264-params": "threads=1"}
_X265 = {**_QUICK, "x265-params": "pools=none:frame-threads=1:log-level=none"}
_VPX = {"threads": "1", "cpu-used": "8", "deadline": "realtime", "b": "800k"}
_AV1 = {"preset": "12", "crf": "20", "svtav1-params": "lp=1"}
_MPEG = {"qmin": "2", "qmax": "6", "threads": "1"}
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}

RECIPES: Mapping[str, _Recipe] = MappingProxyType(
    {
        "mp4-h264-moov-last": _Recipe("libx264", ".mp4", b_frames=2, x=_X264, sound="aac"),
        "mp4-h264-moov-first": _Recipe("libx264", ".mp4", x=_X264, mux={"movflags": "faststart"}, sound="aac"),
        "mp4-h264-open-gop": _Recipe(
            "libx264", ".mp4", b_frames=3, x={**_X264, "x264-params": "threads=1:open-gop=1:b-pyramid=normal"}
        ),
        "mp4-h264-fragments": _Recipe("libx264", ".mp4", b_frames=2, x=_X264, mux=_FRAGMENTS),
        "mp4-h264-turned": _Recipe("libx264", ".mp4", x=_X264, turned=True),
        "mp4-hevc": _Recipe("libx265", ".mp4", b_frames=2, x=_X265),
        "mp4-av1": _Recipe("libsvtav1", ".mp4", x=_AV1),
        "mp4-mpeg4": _Recipe("mpeg4", ".mp4", b_frames=2, x=_MPEG),
        "mov-h264": _Recipe("libx264", ".mov", b_frames=2, x=_X264),
        "mov-prores": _Recipe("prores", ".mov", frames=7, pix_fmt="yuv422p10le", x={"threads": "1"}),
        "mov-mjpeg": _Recipe("mjpeg", ".mov", frames=12, pix_fmt="yuvj420p", x={"threads": "1"}),
        "mkv-h264": _Recipe("libx264", ".mkv", b_frames=2, x=_X264, sound="aac"),
        "mkv-hevc": _Recipe("libx265", ".mkv", x=_X265),
        "mkv-vp8": _Recipe("libvpx", ".mkv", x=_VPX),
        "webm-vp9": _Recipe("libvpx-vp9", ".webm", x=_VPX),
        "webm-av1": _Recipe("libsvtav1", ".webm", x=_AV1),
        "avi-mpeg4": _Recipe("mpeg4", ".avi", x=_MPEG),
        "avi-mjpeg": _Recipe("mjpeg", ".avi", frames=12, pix_fmt="yuvj420p", x={"threads": "1"}),
        "avi-h264-b-frames": _Recipe("libx264", ".avi", b_frames=2, x=_X264),
        "ts-h264": _Recipe("libx264", ".ts", b_frames=2, x=_X264, sound="mp2"),
        "ts-hevc": _Recipe("libx265", ".ts", x=_X265),
        "ts-mpeg2": _Recipe("mpeg2video", ".ts", b_frames=2, x=_MPEG),
        "ps-mpeg2": _Recipe("mpeg2video", ".mpg", b_frames=2, x=_MPEG),
        "ps-mpeg1": _Recipe("mpeg1video", ".mpg", x=_MPEG),
    }
)
HEIGHT = 64
GOP = 6


@cache
def make_seed(name: str) -> Seed:
    """The seed of that name, the same bytes whenever and wherever the same libraries make it."""
    recipe = RECIPES[name]
    os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder tells its settings on stderr otherwise
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"seed{recipe.suffix}"
        _encode(path, recipe)
        data = bytearray(path.read_bytes())
    if recipe.turned:
        at = data.index(b"tkhd") + 44  # ISO 14496-12, 8.3.2, version 0
        data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    return Seed(name, _FAMILIES.get(recipe.suffix, "ps"), bytes(data))


def _encode(path: Path, recipe: _Recipe) -> None:
    rng = np.random.default_rng(len(recipe.codec))
    options = {"fflags": "+bitexact", **recipe.mux}
    with usual_priority(), av.open(str(path), "w", container_options=options) as container:
        stream: Any = container.add_stream(recipe.codec, rate=25, options=dict(recipe.x))
        stream.width, stream.height, stream.pix_fmt = recipe.width, HEIGHT, recipe.pix_fmt
        stream.gop_size = GOP
        stream.thread_count = 1
        if not recipe.codec.startswith(("libvpx", "libsvt", "prores", "mjpeg")):
            stream.max_b_frames = recipe.b_frames
        sound: Any = container.add_stream(recipe.sound, rate=16000, layout="mono") if recipe.sound else None
        for number in range(recipe.frames):
            image = paint(number, recipe.width, HEIGHT)
            image[: HEIGHT // 8] = rng.integers(0, 255, image[: HEIGHT // 8].shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound:
            step = sound.codec_context.frame_size or 1152
            for at in range(0, recipe.frames * 16000 // 25, step):
                silence = av.AudioFrame.from_ndarray(
                    np.zeros((1, step), np.float32 if recipe.sound == "aac" else np.int16),
                    format="fltp" if recipe.sound == "aac" else "s16p",
                    layout="mono",
                )
                silence.sample_rate, silence.pts = 16000, at
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
