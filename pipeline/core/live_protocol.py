"""The messages of a live session, version 1: text ones are JSON objects, binary ones frames and results.

What comes from the other side is as untrusted as any upload: each message is checked here, whole, before anybody acts
on it. docs/live.md has the layout for other clients, `live_results` what the server answers to a frame.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum, IntFlag, StrEnum
from typing import Any, Final

VERSION: Final = 1
#: Larger messages close the connection, with code 1009.
MAX_MESSAGE_BYTES: Final = 1 << 20
#: A session that does not begin with `hello` within this time is closed.
HELLO_S: Final = 10.0
#: A server that has to load its model says `starting`, and then takes this long at most.
STARTING_S: Final = 120.0
#: A side that answers no ping for so long is gone.
PING_S: Final = 10.0

#: Kind, flags, reserved, id, captured_at_ms, capture_ms, encode_ms; then one access unit or one JPEG.
FRAME: Final = struct.Struct("<BBHIdff")
FRAME_KIND: Final = 1
MAX_ID: Final = 2**32 - 1
MAX_SIDE_PX: Final = 4096
MIN_SIDE_PX: Final = 16
#: Of a picture: 4K.
MAX_PIXELS: Final = 3840 * 2176
MAX_FPS: Final = 240.0
MAX_NAME: Final = 200
_MAX_TEXT: Final = 4096
_MAX_MS: Final = 1e15
_MAX_STAGE_MS: Final = 1e7


class BadMessage(ValueError):
    """A message that is not of the protocol; its text says why, in one line."""


class Codec(StrEnum):
    """What the frames of a session are."""

    H264 = "h264"
    JPEG = "jpeg"


class Mode(StrEnum):
    """How much of a session the server analyses: every frame, one every so often, or none."""

    FULL = "full"
    HYBRID = "hybrid"
    PREVIEW = "preview"


class FrameFlag(IntFlag):
    """What a frame is."""

    KEYFRAME = 1


class CloseCode(IntEnum):
    """Why a connection was closed. Below 4000 they are WebSocket's own."""

    DONE = 1000
    RESTARTS = 1012  # the live process stops: connect again
    OVER = 4000  # the time is over, or no frame came
    OVERLOAD = 4001
    REFUSED = 4003
    SIGNED_OUT = 4008
    PROTOCOL = 4009


def closing_reason(reason: str) -> str:
    """As much of a reason as a close frame holds: 123 bytes (RFC 6455)."""
    return reason.encode()[:123].decode("utf-8", "ignore")


@dataclass(frozen=True)
class Hello:
    """The first message of a client.

    Args:
        width, height: of the frames, in pixels; a later frame may have another size.
        fps: frames that the camera captures in a second.
        name: of the session, for people.
        keep: whether pictures and poses are to become a video of the team.
    """

    codec: Codec
    width: int
    height: int
    mode: Mode = Mode.FULL
    fps: float = 30.0
    name: str = ""
    keep: bool = False

    def to_text(self) -> str:
        """The message."""
        return json.dumps({"type": "hello", "version": VERSION, **asdict(self)})


@dataclass(frozen=True)
class Clock:
    """A question for the server's clock, by the client's."""

    sent_ms: float


@dataclass(frozen=True)
class ModeWish:
    """A client's wish for another mode."""

    mode: Mode


@dataclass(frozen=True)
class Bye:
    """The end of a client's frames: captured = dropped + sent."""

    captured: int
    dropped: int
    sent: int


@dataclass(frozen=True)
class Frame:
    """One frame of a client.

    Args:
        id: of captured frames, rising; what is left out was dropped by the client.
        keyframe: whether it can be decoded without those before it.
        captured_at_ms: by the client's clock.
        capture_ms, encode_ms: what these took.
        data: one H.264 access unit (Annex B), or one JPEG.
    """

    id: int
    keyframe: bool
    captured_at_ms: float
    capture_ms: float
    encode_ms: float
    data: bytes

    def to_bytes(self) -> bytes:
        """The message."""
        flags = FrameFlag.KEYFRAME if self.keyframe else 0
        head = FRAME.pack(FRAME_KIND, flags, 0, self.id, self.captured_at_ms, self.capture_ms, self.encode_ms)
        return head + self.data


ClientMessage = Hello | Clock | ModeWish | Bye | Frame


def read_client(message: str | bytes) -> ClientMessage:
    """Read one message of a client.

    Raises:
        BadMessage: it is none.
    """
    return read_frame(message) if isinstance(message, bytes) else _read_text(message)


def read_frame(message: bytes) -> Frame:
    """Read a binary message of a client.

    Raises:
        BadMessage: it is no frame.
    """
    if len(message) <= FRAME.size or message[0] != FRAME_KIND:
        raise BadMessage(f"a binary message is a frame: kind {FRAME_KIND}, a header of {FRAME.size} bytes, a picture")
    if len(message) > MAX_MESSAGE_BYTES:
        raise BadMessage(f"a frame has at most {MAX_MESSAGE_BYTES} bytes")
    _, flags, reserved, id_, captured_at_ms, capture_ms, encode_ms = FRAME.unpack_from(message)
    if reserved or flags & ~int(FrameFlag.KEYFRAME):
        raise BadMessage("a frame has bits set that version 1 does not know")
    if not _is_time(captured_at_ms) or not all(0 <= ms <= _MAX_STAGE_MS for ms in (capture_ms, encode_ms)):
        raise BadMessage("a time of the frame is no number of milliseconds")
    keyframe = bool(flags & FrameFlag.KEYFRAME)
    return Frame(id_, keyframe, captured_at_ms, capture_ms, encode_ms, message[FRAME.size :])


def read_object(text: str, most: int = MAX_MESSAGE_BYTES) -> Mapping[str, Any]:
    """Read a text message of either side as a JSON object with a `type`.

    Args:
        most: characters; clients have little to say.

    Raises:
        BadMessage: it is none.
    """
    if len(text) > most:
        raise BadMessage(f"a text message has at most {most} characters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadMessage("a text message is a JSON object") from error
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise BadMessage("a text message is a JSON object with a `type`")
    return found


def to_text(type_: str, **fields: Any) -> str:
    """A text message."""
    return json.dumps({"type": type_, **fields})


def _read_text(text: str) -> ClientMessage:
    found = read_object(text, _MAX_TEXT)
    match found["type"]:
        case "hello":
            return _read_hello(found)
        case "clock":
            return Clock(_number(found, "sent_ms", -_MAX_MS, _MAX_MS))
        case "mode":
            return ModeWish(_choice(found, "mode", (Mode.FULL, Mode.HYBRID)))
        case "bye":
            return Bye(*(int(_number(found, name, 0, MAX_ID, whole=True)) for name in ("captured", "dropped", "sent")))
        case other:
            raise BadMessage(f"there is no message {other[:40]!r}; there are hello, clock, mode and bye")


def _read_hello(found: Mapping[str, Any]) -> Hello:
    if found.get("version") != VERSION:
        raise BadMessage(f"this server speaks version {VERSION} of the live protocol; update the client")
    name = found.get("name", "")
    if not isinstance(name, str) or len(name) > MAX_NAME:
        raise BadMessage(f"`name` is a text of at most {MAX_NAME} characters")
    if not isinstance(found.get("keep", False), bool):
        raise BadMessage("`keep` is true or false")
    width, height = (int(_number(found, side, MIN_SIDE_PX, MAX_SIDE_PX, whole=True)) for side in ("width", "height"))
    if width * height > MAX_PIXELS:
        raise BadMessage(f"pictures of {width} x {height} are too large: send them with {MAX_PIXELS} pixels at most")
    return Hello(
        codec=_choice(found, "codec", tuple(Codec)),
        width=width,
        height=height,
        mode=_choice(found, "mode", (Mode.FULL, Mode.HYBRID), Mode.FULL),
        fps=_number({"fps": found.get("fps", 30)}, "fps", 1, MAX_FPS),
        name="".join(c if c.isprintable() else " " for c in name).strip(),
        keep=found.get("keep", False),
    )


def _choice(found: Mapping[str, Any], name: str, choices: Sequence[Any], default: Any = None) -> Any:
    value = found.get(name, default)
    for choice in choices:
        if isinstance(value, str) and value == choice:
            return choice
    raise BadMessage(f"`{name}` is {' or '.join(choices)}")


def _number(found: Mapping[str, Any], name: str, least: float, most: float, *, whole: bool = False) -> float:
    value = found.get(name)
    kinds = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        raise BadMessage(f"`{name}` is a {'whole ' if whole else ''}number from {least:g} to {most:g}")
    return value if whole else float(value)


def _is_time(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= _MAX_MS
