"""Decode the sound of a video to 16-bit samples of one rate. Child side.

Each piece is sent with its place on the container's own timeline, which the video's pts are on, too. Where a frame of
sound is off by more than `MAX_DRIFT` from the end of the one before, it begins a new piece at its own time; below that,
times are taken for rounded, and the samples for continuous.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition

from pipeline.core.video_limits import VideoLimits
from pipeline.video import wire
from pipeline.video.byte_channel import ByteChannelFile
from pipeline.video.decode import Ticker, iter_packets
from pipeline.video.decode_request import SOUND_RATE_HZ, DecodeRequest
from pipeline.video.demux import Unreadable, check_room, open_container
from pipeline.video.lockdown import grant_cpu
from pipeline.video.wire import RecordKind

MAX_CHANNELS = 2
#: Nothing is recorded with less than a telephone's 8000. To make 48,000 samples of each costs minutes.
LOWEST_RATE_HZ = 1000
#: 15 ms, less than one frame at 60 frames a second.
MAX_DRIFT = SOUND_RATE_HZ * 15 // 1000
#: In one record.
PIECE_SAMPLES = 1 << 16
Samples = npt.NDArray[np.int16]
CODECS = (
    "aac,aac_latm,mp1float,mp2,mp2float,mp3,mp3float,opus,libopus,vorbis,ac3,eac3,dca,flac,alac,amrnb,amrwb,"
    "libopencore_amrnb,libopencore_amrwb,wmav1,wmav2,adpcm_ms,adpcm_ima_qt,adpcm_ima_wav,pcm_alaw,pcm_mulaw,pcm_bluray,"
    "pcm_dvd,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be"
)


def send_sound(job: socket.socket, file: ByteChannelFile, request: DecodeRequest) -> None:
    """Send INFO, then the samples of the requested span in rising order, then END; only END without a sound track.

    Raises:
        Unreadable: the sound cannot be decoded.
    """
    container = open_container(file, request.limits, CODECS)
    tracks = list(container.streams.audio)
    if tracks:
        stream = _choose(container, tracks)
        channels = min(MAX_CHANNELS, max(1, stream.codec_context.channels))
        info = {"channels": channels, "track_channels": stream.codec_context.channels, "tracks": len(tracks)}
        wire.send(job, RecordKind.INFO, json.dumps(info).encode())
        placer = _Placer(channels, *request.samples)
        for at, samples in placer.place(_iter_frames(container, stream, Ticker(job, request.limits), request.limits)):
            for begin in range(0, len(samples), PIECE_SAMPLES):
                payload = samples[begin : begin + PIECE_SAMPLES].astype("<i2").tobytes()
                wire.send(job, RecordKind.SOUND, wire.SOUND.pack(at + begin) + payload)
    wire.send(job, RecordKind.END)


def _choose(container: InputContainer, tracks: list[AudioStream]) -> AudioStream:
    """The default track, else the first, of those that can be decoded; all other streams are skipped."""
    known = [stream for stream in tracks if stream.codec_context and stream.codec_context.name in CODECS.split(",")]
    if not known:
        names = sorted({stream.codec_context.name if stream.codec_context else "unknown" for stream in tracks})
        raise Unreadable(f"its codec ({', '.join(names)}) is not supported")
    stream = max(known, key=lambda each: (bool(each.disposition & Disposition.default), -each.index))
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"codec_whitelist": CODECS}
    return stream


def _iter_frames(
    container: InputContainer, stream: AudioStream, ticker: Ticker, limits: VideoLimits
) -> Iterator[AudioFrame]:
    """Yield what can be decoded; a damaged packet leaves a gap."""
    for packet in iter_packets(container, stream):
        ticker.tick()
        for frame in _decode(cast("Packet[AudioStream]", packet)):
            grant_cpu(limits)
            yield frame


def _decode(packet: Packet[AudioStream]) -> list[AudioFrame]:
    try:
        return packet.decode()
    except (av.FFmpegError, EOFError):
        check_room()
        return []


class _Placer:
    """Resamples frames, and gives their samples with their places, cut to `[first, stop)` and to what follows."""

    def __init__(self, channels: int, first: int, stop: int) -> None:
        self._layout = "mono" if channels == 1 else "stereo"
        self._channels = channels
        self._sent_to, self._stop = first, stop
        self._form: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None
        self._piece_at = self._taken = self._given = 0  # the place of the piece, samples in and out of the resampler

    def place(self, frames: Iterator[AudioFrame]) -> Iterator[tuple[int, Samples]]:
        """Yield places, rising, and int16 `(n, channels)`."""
        for frame in frames:
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if form != self._form or self._is_off(frame):
                yield from self._cut(None)
                self._begin(frame, form)
            self._taken += frame.samples
            yield from self._cut(frame)
            if self._sent_to >= self._stop:
                return
        yield from self._cut(None)

    def _is_off(self, frame: AudioFrame) -> bool:
        at = _place_of(frame)
        return at is not None and abs(at - self._end(frame)) > MAX_DRIFT

    def _end(self, frame: AudioFrame) -> int:
        """Where the piece so far ends."""
        return self._piece_at + self._taken * SOUND_RATE_HZ // frame.sample_rate

    def _begin(self, frame: AudioFrame, form: tuple[str, str, int]) -> None:
        if frame.sample_rate < LOWEST_RATE_HZ:
            raise Unreadable(f"its sampling rate of {frame.sample_rate} Hz is too low for sound")
        at = _place_of(frame)
        self._piece_at = self._piece_at + self._given if at is None else at
        self._form, self._taken, self._given = form, 0, 0
        self._resampler = AudioResampler(format="s16", layout=self._layout, rate=SOUND_RATE_HZ)

    def _cut(self, frame: AudioFrame | None) -> Iterator[tuple[int, Samples]]:
        """What the resampler gives for a frame, or None at the end of a piece."""
        for out in self._resampler.resample(frame) if self._resampler else ():
            samples = cast("Samples", out.to_ndarray()).reshape(-1, self._channels)
            at = self._piece_at + self._given
            self._given += len(samples)
            begin, end = max(0, self._sent_to - at), min(len(samples), self._stop - at)
            if begin < end:
                self._sent_to = at + end
                yield at + begin, samples[begin:end]


def _place_of(frame: AudioFrame) -> int | None:
    if frame.pts is None or not frame.time_base:
        return None
    return round(frame.pts * frame.time_base * SOUND_RATE_HZ)
