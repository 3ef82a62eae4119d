"""Writes a video with variable frame times: H.264 in MP4."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream


class VideoWriter:
    """Writes an MP4 to a temporary name, which is renamed once the file is complete."""

    def __init__(self, to: Path, *, width: int, height: int, time_base: Fraction) -> None:
        self._to = to
        self._part = to.with_name(f".{to.name}.part")
        self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "faststart"})
        stream = self._container.add_stream("libx264", options={"crf": "23", "preset": "veryfast"})
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

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if kind is None:
            self._part.replace(self._to)
        else:
            self._part.unlink(missing_ok=True)
