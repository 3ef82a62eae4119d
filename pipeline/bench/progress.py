"""Long work says where it is: what it does now, how much is done, and about how long the rest takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


class Meter:
    """Steps of parts whose time was guessed before, set right by what they really take.

    Args:
        say: told one line a step.
        guesses_s: seconds that each part may take, in order.
    """

    def __init__(self, say: Callable[[str], None], guesses_s: Mapping[str, float]) -> None:
        self._say = say
        self._guesses_s = dict(guesses_s)
        self._total_s = sum(guesses_s.values())
        self._ended_s = 0.0
        self._part_s = self._part_steps = self._step = 0.0
        self._begun_at = time.monotonic()

    def begin(self, part: str, steps: int) -> None:
        """A part begins; the one before is done."""
        self._ended_s += self._part_s
        self._part_s, self._part_steps, self._step = self._guesses_s[part], float(steps), 0.0

    def step(self, words: str) -> None:
        """One of its steps begins."""
        done = (self._ended_s + self._part_s * self._step / self._part_steps) / self._total_s
        elapsed_s = time.monotonic() - self._begun_at
        # At the start the guess is all there is; soon it is the pace of this machine.
        left_s = (1 - done) * (elapsed_s / done if done > 0.05 else self._total_s)
        self._say(f"{words} ({done:.0%}, {about(left_s)} left)")
        self._step = min(self._step + 1, self._part_steps)


def about(seconds: float) -> str:
    """A rough time for a person."""
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {max(5, 5 * round(seconds / 5))} s"
