"""The sound of a video, sample by sample in step with its frames, decoded in a sandboxed child of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from pipeline.core.video_limits import VideoLimits
from pipeline.errors import DecodeFailed, VideoRejected
from pipeline.video import wire
from pipeline.video.decode_request import SOUND_RATE_HZ, DecodeRequest, RequestKind
from pipeline.video.decoder_process import DecoderProcess, protocol_error
from pipeline.video.source import ByteSource
from pipeline.video.wire import RecordKind

#: Sound is decoded hundreds of times faster than it plays.
_CPU_S, _CPU_S_PER_S = 30, Fraction(1, 10)

Samples = npt.NDArray[np.int16]


class SoundReader:
    """The sound from one moment on, at 48 kHz. What is missing or cannot be decoded is silence.

    Args:
        process: a child that was asked for `samples`.
        samples: first and end, as in `DecodeRequest`.

    Attributes:
        channels: 1 or 2; 0 where there is no sound.
        changes: what of the track is not kept, a phrase each.
        failure: why there is no sound, or none after `failed_at_s`; None while there is.
        failed_at_s: seconds from the first sample.
    """

    def __init__(self, process: DecoderProcess, samples: tuple[int, int]) -> None:
        self._process = process
        self._first, self._stop = samples
        self._at = self._received_to = self._first
        self._piece: Samples = np.zeros((0, 1), np.int16)
        self._piece_at = self._first
        self._ended = False
        self.channels = 0
        self.changes: tuple[str, ...] = ()
        self.failure: str | None = None
        self.failed_at_s = 0.0
        self._begin()

    def read(self, count: int) -> Samples:
        """The next `count` samples, int16 `(count, channels)`.

        Raises:
            Stopping, SourceGone, ServiceUnavailable: as `VideoReader.frames`. What the decoder does is never raised.
        """
        out = np.zeros((count, self.channels), np.int16)
        stop = self._at + count
        while not self._ended:
            if not len(self._piece):
                self._receive()
                continue
            if self._piece_at >= stop:
                break
            taken = min(len(self._piece), stop - self._piece_at)
            begin = self._piece_at - self._at
            out[begin : begin + taken] = self._piece[:taken]
            self._piece, self._piece_at = self._piece[taken:], self._piece_at + taken
        self._at = stop
        return out

    def _begin(self) -> None:
        """Wait for the first samples: a track without any is no sound."""
        try:
            kind, payload = self._process.receive()
            if kind is RecordKind.END:
                self._ended = True
                return
            channels, self.changes = _read_info(kind, payload)
        except (DecodeFailed, VideoRejected) as error:
            self._fail(error)
            return
        self.channels = channels
        self._receive()
        if self._ended:
            self.channels = 0
            self.failure = self.failure or "its track is empty"

    def _receive(self) -> None:
        """Receive the next piece, or the end."""
        try:
            kind, payload = self._process.receive()
            if kind is RecordKind.END:
                self._ended = True
                return
            self._piece_at, self._piece = self._read_piece(kind, payload)
            self._received_to = self._piece_at + len(self._piece)
        except (DecodeFailed, VideoRejected) as error:
            self._fail(error)

    def _fail(self, error: DecodeFailed | VideoRejected) -> None:
        self._ended = True
        self.failure = error.message.replace("The video decoder", "its decoder").rstrip(".")
        self.failed_at_s = (self._received_to - self._first) / SOUND_RATE_HZ

    def _read_piece(self, kind: RecordKind, payload: bytes) -> tuple[int, Samples]:
        size = len(payload) - wire.SOUND.size
        if kind is not RecordKind.SOUND or size <= 0 or size % (2 * self.channels):
            raise protocol_error(f"{kind.name} of {len(payload)} bytes instead of sound")
        (at,) = wire.SOUND.unpack_from(payload)
        samples = np.frombuffer(payload, "<i2", offset=wire.SOUND.size).reshape(-1, self.channels)
        if at < self._received_to or at + len(samples) > self._stop:
            raise protocol_error(f"{len(samples)} samples at {at}, where {self._received_to} is next")
        return at, samples.astype(np.int16, copy=False)


@contextmanager
def open_sound(source: ByteSource, limits: VideoLimits, first_s: Fraction, stop_s: Fraction) -> Iterator[SoundReader]:
    """Start decoding the sound of `[first_s, stop_s)` on the container's own timeline; the child ends with the block.

    Raises:
        DecodeFailed: the child could not be started.
        Stopping, SourceGone, ServiceUnavailable: as `VideoReader.frames`.
    """
    first = round(first_s * SOUND_RATE_HZ)
    samples = (first, max(first + 1, round(stop_s * SOUND_RATE_HZ)))
    cpu_s = min(limits.cpu_s, _CPU_S + int((stop_s - first_s) * _CPU_S_PER_S))
    request = DecodeRequest(RequestKind.SOUND, replace(limits, cpu_s=cpu_s), source.size_bytes, samples=samples)
    with DecoderProcess(source, request) as process:
        yield SoundReader(process, samples)


def _read_info(kind: RecordKind, payload: bytes) -> tuple[int, tuple[str, ...]]:
    """Channels, and what is not kept.

    Raises:
        DecodeFailed: it is no description of a track.
    """
    try:
        if kind is not RecordKind.INFO:
            raise ValueError(f"{kind.name} instead of the description of the sound")
        info = json.loads(payload)
        channels, track_channels, tracks = (int(info[key]) for key in ("channels", "track_channels", "tracks"))
        if channels not in {1, 2}:
            raise ValueError(f"{channels} channels")
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise protocol_error(str(error)) from error
    changes = []
    if tracks > 1:
        changes.append(f"one of {tracks:.0f} tracks is kept")
    if track_channels > channels:
        changes.append(f"{track_channels:.0f} channels are mixed to {channels}")
    return channels, tuple(changes)
