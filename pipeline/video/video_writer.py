"""Writes a video with variable frame times, with or without sound: H.264 and AAC in MP4."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream

from pipeline.core.files import replacing

#: Of H.264's highest level, 6.2 (ITU-T H.264, table A-1), and of x264.
MAX_PIXELS, MAX_SIDE = 139_264 * 256, 16_384
#: Always the same, on any machine: the bytes depend on it.
THREADS = 4
#: Above Full HD the faster preset takes a third less time and memory, for larger files.
_PRESET, _LARGE_PRESET, _LARGE_PIXELS = "veryfast", "superfast", 1920 * 1088
_BITS_PER_S = {1: 96_000, 2: 160_000}


def encodable_size(width: int, height: int) -> tuple[int, int]:
    """The size at which a picture is encoded: its own, enlarged to even sides, reduced where H.264 ends."""
    scale = min(1.0, MAX_SIDE / max(width, height), (MAX_PIXELS / (width * height)) ** 0.5)
    if scale < 1:
        return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)
    return width + width % 2, height + height % 2


class VideoWriter:
    """An H.264 stream in an MP4 container, and an AAC stream where `channels` is not 0."""

    def __init__(
        self,
        container: OutputContainer,
        *,
        size: tuple[int, int],
        time_base: Fraction,
        usual_fps: Fraction,
        channels: int,
        rate_hz: int,
        sound_from_s: Fraction,
        keyframe_every: int | None,
    ) -> None:
        self._container = container
        preset = _LARGE_PRESET if size[0] * size[1] > _LARGE_PIXELS else _PRESET
        # Without frames that refer to later ones, each can be shown as soon as it is decoded.
        steps = {} if keyframe_every is None else {"g": str(keyframe_every), "bf": "0"}
        stream = container.add_stream("libx264", usual_fps, options={"crf": "23", "preset": preset} | steps)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = time_base
        context.thread_count = THREADS
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        self._stream = stream
        self._time_base = time_base
        self._to_yuv = VideoReformatter()
        self._sound: AudioStream | None = None
        self._sound_at = round(sound_from_s * rate_hz)
        self._channels, self._rate_hz = channels, rate_hz
        if channels:
            self._layout = "mono" if channels == 1 else "stereo"
            sound = container.add_stream("aac", rate=rate_hz, layout=self._layout)
            assert isinstance(sound, AudioStream)
            sound.codec_context.bit_rate = _BITS_PER_S[channels]
            self._sound = sound

    def write(self, image: npt.NDArray[np.uint8], pts: int) -> None:
        """Add one BGR frame, C-contiguous `(height, width, 3)`, at `pts` of the time base."""
        frame = self._to_yuv.reformat(
            av.VideoFrame.from_numpy_buffer(image, format="bgr24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = pts, self._time_base
        self._container.mux(self._stream.encode(frame))

    def write_sound(self, samples: npt.NDArray[np.int16]) -> None:
        """Add samples `(n, channels)` after those before; the first is at `sound_from_s`."""
        if self._sound is None or not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), "s16", self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate_hz, self._sound_at, Fraction(1, self._rate_hz)
        self._sound_at += len(samples)
        self._container.mux(self._sound.encode(frame))

    def _flush(self) -> None:
        self._container.mux(self._stream.encode(None))
        if self._sound is not None:
            self._container.mux(self._sound.encode(None))

    @classmethod
    @contextmanager
    def open(
        cls,
        to: Path,
        *,
        size: tuple[int, int],
        time_base: Fraction,
        usual_fps: Fraction,
        comment: str,
        channels: int = 0,
        rate_hz: int = 48_000,
        sound_from_s: Fraction = Fraction(0),
        keyframe_every: int | None = None,
    ) -> Iterator[VideoWriter]:
        """Yield a writer; the file takes its name `to` when the block ends without an error.

        Args:
            size: width and height, even; see `encodable_size`.
            time_base: of the frames' pts, in seconds.
            usual_fps: about how many frames a second there are; the encoder sets the stream's level by it.
            comment: for the file's metadata.
            channels: of the sound, 0 for none.
            rate_hz: of the sound.
            sound_from_s: when the sound begins.
            keyframe_every: so many frames, and each frame refers only to earlier ones; None for what the encoder
                chooses.
        """
        options = {"movflags": "faststart"}
        with replacing(to) as [part], av.open(str(part), "w", format="mp4", options=options) as container:
            container.metadata["comment"] = comment
            writer = cls(
                container,
                size=size,
                time_base=time_base,
                usual_fps=usual_fps,
                channels=channels,
                rate_hz=rate_hz,
                sound_from_s=sound_from_s,
                keyframe_every=keyframe_every,
            )
            yield writer
            writer._flush()
