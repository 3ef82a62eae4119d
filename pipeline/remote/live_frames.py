"""What a live session takes and gives: pictures, frames, answers, and why it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.core.live_latency import Sent
from pipeline.core.live_protocol import Mode
from pipeline.core.live_results import Result
from pipeline.errors import PoselineError

P = TypeVar("P")


class LiveRefused(PoselineError):
    """The server has no room for this session.

    Args:
        offer: what it may have instead.
    """

    def __init__(self, message: str, offer: Mode) -> None:
        super().__init__(message)
        self.offer = offer


class LiveEnded(PoselineError):
    """The server or the network ended the session."""


#: Turns a picture into a frame, and says whether it is a keyframe; it has to be one where that is asked for. Called
#: from another thread, one picture after the other.
Encode = Callable[[P, bool], tuple[bytes, bool]]


@dataclass(frozen=True, eq=False)
class Answer(Generic[P]):
    """What became of a frame that was sent.

    Args:
        picture: the frame itself, to draw its poses on.
        trip_ms: of an analysed frame, by stage; see `pipeline.core.live_latency`.
    """

    picture: P
    result: Result
    trip_ms: Mapping[str, float] | None


@dataclass(frozen=True, eq=False)
class Captured(Generic[P]):
    """A frame that waits here."""

    id: int
    picture: P
    captured_ms: float
    capture_ms: float


@dataclass(frozen=True, eq=False)
class UnderWay(Generic[P]):
    """A frame that was sent and has no answer yet."""

    picture: P
    sent: Sent
