"""Videos that flash and beep at the same moments, and where a file that was made from one does: sound in sync."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT = 160, 96
BEEP_S, TONE_HZ, QUIET_S = 0.1, 1000, 0.3


def make_beeps(
    path: Path,
    moments_s: Sequence[float] = (1.0, 3.0, 5.0),
    *,
    seconds: float = 6.0,
    times_s: Sequence[float] | None = None,
    sound_from_s: float = 0.0,
    sound_to_s: float | None = None,
    silent_between_s: tuple[float, float] | None = None,
    codec: str = "aac",
    rate: int = 44_100,
    layout: str = "stereo",
    video_codec: str = "libx264",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    tracks: int = 1,
) -> Path:
    """Encode a dark, silent video that flashes for one frame, and beeps, at each moment.

    Args:
        times_s: of the frames; 30 a second without.
        sound_from_s, sound_to_s: where the sound track begins and ends.
        silent_between_s: in this stretch no packet of sound is written.
    """
    times_s = times_s or [at / 30 for at in range(round(seconds * 30))]
    time_base = Fraction(1, 90_000 if video_codec in {"libx264", "libvpx-vp9"} else 30)
    sound_to_s = times_s[-1] if sound_to_s is None else sound_to_s
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(video_codec, rate=30)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = time_base
        sounds: list[Any] = [container.add_stream(codec, rate=rate, layout=layout) for _ in range(tracks)]
        packets = []
        for at_s in times_s:
            shade = 255 if any(abs(at_s - moment) < 1e-6 for moment in moments_s) else 0
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), shade, np.uint8), format="bgr24")
            frame.pts, frame.time_base = round(at_s / time_base), time_base
            packets += video.encode(frame)
        packets += video.encode(None)
        for sound in sounds:
            packets += _encode_beeps(sound, moments_s, sound_from_s, sound_to_s, rate, silent_between_s)
        for packet in sorted(packets, key=lambda each: each.dts * each.time_base):
            container.mux(packet)
    return path


def _encode_beeps(
    sound: Any, moments_s: Sequence[float], from_s: float, to_s: float, rate: int, gap_s: tuple[float, float] | None
) -> list[Any]:
    at_s = from_s + np.arange(round((to_s - from_s) * rate)) / rate
    tone = np.zeros(len(at_s))
    for moment in moments_s:
        beeping = (at_s >= moment - 1e-9) & (at_s < moment + BEEP_S)
        tone[beeping] = np.sin(2 * np.pi * TONE_HZ * (at_s[beeping] - moment) + np.pi / 2)
    channels = sound.codec_context.layout.nb_channels
    samples = np.repeat((tone * 20_000).astype(np.int16), channels)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=sound.codec_context.layout.name)
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(from_s * rate)
    packets = [packet for packet in [*sound.encode(frame), *sound.encode(None)] if packet.pts is not None]
    if gap_s is None:
        return packets
    return [packet for packet in packets if not gap_s[0] <= packet.pts * packet.time_base < gap_s[1]]


def flashes_s(path: Path) -> list[float]:
    """When a video's pictures become bright, by its own timeline."""
    found, bright = [], False
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            was, bright = bright, bool(frame.to_ndarray(format="gray").mean() > 127)  # type: ignore[union-attr]
            if bright and not was:
                found.append(float(frame.pts * frame.time_base))  # type: ignore[operator]
    return found


def beeps_s(path: Path) -> list[float]:
    """When a preview's sound (AAC) becomes loud after some silence, by its own timeline."""
    found: list[float] = []
    loud_until_s = -QUIET_S
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            frame: Any
            assert frame.format.name == "fltp"
            start_s = float(frame.pts * frame.time_base)
            for at in np.flatnonzero(np.abs(frame.to_ndarray()).max(axis=0) > 0.2):
                at_s = start_s + float(at) / frame.sample_rate
                if at_s - loud_until_s > QUIET_S:
                    found.append(at_s)
                loud_until_s = at_s
    return found
