"""At what rate a live session really sends, and what of it is more than it said that it would, or may. Pure."""

from __future__ import annotations

import math
from typing import Final

from pipeline.core.live_protocol import BadMessage, ClientMessage, Frame, Mode

#: Cameras are not exact, and networks deliver in bursts: by so much a session may exceed its rate for ever, and once by
#: what it may send in a second.
LEEWAY: Final = 1.2
_BURST_S: Final = 1.0
_LEAST_BURST: Final = 5.0
#: The part of a hybrid session's interval after which its next frame is welcome: clients go down to two fifths, and
#: timers are not exact.
SOONEST: Final = 0.3
#: The rate is counted over so long.
_WINDOW_S: Final = 2.0


class Pace:
    """The frames of one session by when they came. Costs the same whatever a client sends.

    Args:
        fps: that the client declared.
        now_s: of a clock that never goes back, as of all methods.
    """

    def __init__(self, fps: float, now_s: float) -> None:
        self._a_second = LEEWAY * fps
        self._most = max(_LEAST_BURST, _BURST_S * self._a_second)
        self._allowed = self._most
        self._allowed_s = now_s
        self._taken_s = -math.inf
        self._fps = 0.0
        self._since_s = now_s
        self._count = 0

    def sent_fps(self, now_s: float) -> float:
        """Frames that came in a second, over the last whole seconds."""
        took_s = now_s - self._since_s
        if took_s >= _WINDOW_S:
            self._fps = self._count / took_s
            self._since_s, self._count = now_s, 0
        return self._fps

    def forget(self, now_s: float) -> None:
        """The session has another mode from now on: what it sent before says nothing of it."""
        self._fps, self._since_s, self._count = 0.0, now_s, 0
        self._taken_s = -math.inf

    def has_room(self, now_s: float, mode: Mode, every_ms: int) -> bool:
        """Whether a frame that came now is one that was expected. Counts it."""
        self.sent_fps(now_s)
        self._count += 1
        self._allowed = min(self._most, self._allowed + self._a_second * (now_s - self._allowed_s))
        self._allowed_s = now_s
        if mode is Mode.HYBRID:
            return now_s - self._taken_s >= SOONEST * every_ms / 1000
        return self._allowed >= 1

    def take(self, now_s: float) -> None:
        """A frame is taken on."""
        self._taken_s = now_s
        self._allowed = max(0.0, self._allowed - 1)


class TextLimit:
    """How many text messages a client may send: a few at once, and a few each second.

    Args:
        begun_s: when its session began, by `time.monotonic`.
    """

    AT_ONCE, PER_S = 50, 5

    def __init__(self, begun_s: float) -> None:
        self._begun_s = begun_s
        self._taken = 0

    def take(self, message: ClientMessage, now_s: float) -> None:
        """Count a message, if it is no frame.

        Raises:
            BadMessage: there are too many.
        """
        self._taken += not isinstance(message, Frame)
        if self._taken > self.AT_ONCE + self.PER_S * (now_s - self._begun_s):
            raise BadMessage(f"text messages come too often: {self.PER_S} a second are enough")
