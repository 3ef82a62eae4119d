"""Writes a video with variable frame times: H.264 in MP4."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.stream import VideoStream

from pipeline.core.files import replacing


class VideoWriter:
    """An H.264 stream in an MP4 container."""

    def __init__(self, container: OutputContainer, *, width: int, height: int, time_base: Fraction) -> None:
        self._container = container
        stream = container.add_stream("libx264", options={"crf": "23", "preset": "veryfast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = time_base
        stream.codec_context.thread_count = 1
        self._stream = stream
        self._time_base = time_base

    def write(self, image: npt.NDArray[np.uint8], pts: int) -> None:
        """Add one BGR frame `(height, width, 3)` at `pts` of the time base."""
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = pts, self._time_base
        self._container.mux(self._stream.encode(frame))

    @classmethod
    @contextmanager
    def open(cls, to: Path, *, width: int, height: int, time_base: Fraction) -> Iterator[VideoWriter]:
        """Yield a writer; the file takes its name `to` when the block ends without an error."""
        options = {"movflags": "faststart"}
        with replacing(to) as [part], av.open(str(part), "w", format="mp4", options=options) as container:
            writer = cls(container, width=width, height=height, time_base=time_base)
            yield writer
            container.mux(writer._stream.encode(None))
