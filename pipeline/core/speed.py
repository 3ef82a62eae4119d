"""How fast work goes, and how long it will take, from what was measured lately."""

from __future__ import annotations

from collections import deque


class Speed:
    """Units a second over the last minute.

    What was done before the first measurement does not count, so that coming back to work that is half done gives no
    wrong figure; nor does the time before the first unit, so that waiting in a queue does not either.

    Args:
        window_s: how far back a measurement counts.
    """

    def __init__(self, window_s: float = 60.0) -> None:
        self._window_s = window_s
        self._samples: deque[tuple[float, float]] = deque()

    def measure(self, at_s: float, done: float) -> None:
        """Note that `done` units in all are done at the time `at_s`."""
        if self._samples and done <= self._samples[0][1]:
            self._samples.clear()  # nothing has been done yet since the first measurement, or it began again
        self._samples.append((at_s, done))
        while len(self._samples) > 2 and self._samples[1][0] <= at_s - self._window_s:
            self._samples.popleft()

    @property
    def per_s(self) -> float | None:
        """Units a second, None until there is enough to tell."""
        if len(self._samples) < 2:
            return None
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s and last > first else None

    def seconds_for(self, units: float) -> float | None:
        """Seconds for so many more units, None where it cannot be told."""
        return units / self.per_s if self.per_s else None
