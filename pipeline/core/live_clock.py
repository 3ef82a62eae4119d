"""How far the server's clock is from the client's, by exchanges of messages. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

#: The offset is that of the quickest exchange of so many.
_KEPT: Final = 8


@dataclass
class ClockOffset:
    """The offset of two clocks. Half of the quickest round trip is the most that it can be wrong by."""

    _exchanges: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT), init=False)

    def note(self, asked_ms: float, received_ms: float, answered_ms: float, now_ms: float) -> None:
        """Note an exchange: the outer times are by the client's clock, the inner ones by the server's."""
        round_trip_ms = (now_ms - asked_ms) - (answered_ms - received_ms)
        self._exchanges.append((round_trip_ms, ((received_ms - asked_ms) + (answered_ms - now_ms)) / 2))

    @property
    def ms(self) -> float | None:
        """What the server's clock shows minus what the client's does; None before the first exchange."""
        return min(self._exchanges)[1] if self._exchanges else None

    @property
    def round_trip_ms(self) -> float | None:
        """Of the quickest exchange."""
        return min(self._exchanges)[0] if self._exchanges else None
