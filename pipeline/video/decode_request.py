"""What a worker asks of a decoder child: one frozen value, sent as JSON, used by both sides of the socket."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from pipeline.core.video_limits import VideoLimits

#: Sound is decoded to this rate, whatever its own.
SOUND_RATE_HZ = 48_000
#: FFmpeg's decoders of what cameras send live.
CAMERA_CODECS = ("h264", "mjpeg")


class RequestKind(StrEnum):
    """What the child does with the video."""

    PROBE = "probe"
    DECODE = "decode"
    SOUND = "sound"
    CAMERA = "camera"


@dataclass(frozen=True)
class DecodeRequest:
    """One job for a child. A probe uses only the first three fields, `wants_index` and `has_copy`, a request for sound
    the first three and `samples`, one for a camera the limits, `codec`, `size`, `side` and `slots`; the keys of a
    decode follow it on the socket.

    Args:
        kind: what to do.
        limits: for the video and for the child.
        file_bytes: length of the whole file.
        size: width and height of the video as displayed.
        side: letterbox into a square of that many pixels; None for the whole image.
        slots: of the frame pool.
        indexed_by_position: whether keys are positions in one pass from the start, else they are pts.
        seek_pts: of the keyframe to start at.
        seek_bytes: where that keyframe's packet starts in the file, -1 where unknown.
        needed_bytes: start and end of the bytes that will be read in any case; `(0, 0)` where unknown.
        wants_index: whether a probe indexes the video; else it only checks that it can be.
        has_copy: whether a probe's child has a descriptor of a copy of the file.
        samples: first and end of the sound, counted from the container's time zero at `SOUND_RATE_HZ`.
        codec: of a camera's frames, from `CAMERA_CODECS`.

    Raises:
        ValueError: a decode has no size or no slots, sound has no span, or a camera an unknown codec.
    """

    kind: RequestKind
    limits: VideoLimits
    file_bytes: int
    size: tuple[int, int] = (0, 0)
    side: int | None = None
    slots: int = 0
    indexed_by_position: bool = False
    seek_pts: int = 0
    seek_bytes: int = -1
    needed_bytes: tuple[int, int] = (0, 0)
    wants_index: bool = True
    has_copy: bool = False
    samples: tuple[int, int] = (0, 0)
    codec: str = ""

    def __post_init__(self) -> None:
        if self.kind in {RequestKind.DECODE, RequestKind.CAMERA} and min(*self.size, self.slots) < 1:
            raise ValueError(f"a decode needs a size and slots, got {self.size} and {self.slots}")
        if self.kind is RequestKind.SOUND and self.samples[0] >= self.samples[1]:
            raise ValueError(f"sound needs a span, got {self.samples}")
        if self.kind is RequestKind.CAMERA and self.codec not in CAMERA_CODECS:
            raise ValueError(f"a camera's frames are {' or '.join(CAMERA_CODECS)}, not {self.codec!r:.40}")

    def to_bytes(self) -> bytes:
        """UTF-8 JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> DecodeRequest:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: fields are missing, unknown or invalid.
        """
        try:
            fields = json.loads(data)
            fields["kind"] = RequestKind(fields["kind"])
            fields["limits"] = VideoLimits(**fields["limits"])
            for pair in ("size", "needed_bytes", "samples"):
                first, second = fields[pair]
                fields[pair] = (int(first), int(second))
            return cls(**fields)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a decode request: {error}") from error
