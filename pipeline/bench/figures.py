"""A figure: pairs of measurements, ours and what it is held against, and whether the goal is met."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Pair = tuple[float, float | None]


@dataclass(frozen=True)
class Goal:
    """What an outcome is held to.

    Args:
        kind: of bound.
        limit: the bound.
        unit: of the limit; empty for a ratio.
    """

    kind: Literal["at least", "at most", "under"]
    limit: float
    unit: str = ""

    def holds(self, outcome: float) -> bool:
        """Whether it is met; the outcome is not rounded before."""
        if self.kind == "at least":
            return outcome >= self.limit
        return outcome <= self.limit if self.kind == "at most" else outcome < self.limit

    def __str__(self) -> str:
        return f"{self.kind} {self.limit:.4g} {self.unit}".strip()


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        name: for programs.
        words: for people.
        unit: of `ours` and `against`.
        ours: the median.
        against: of what it is held against, None where it is held against nothing.
        outcome: what the goal is about: the median ratio, the difference, or `ours` itself.
        goal: in words, None where there is none.
        met: None where there is no goal.
        pairs: every measurement, ours and the other.
        plain: what it is held against, in words.
        details: what a reader needs to see where it comes from, for programs.
    """

    name: str
    words: str
    unit: str
    ours: float
    against: float | None
    outcome: float
    goal: str | None
    met: bool | None
    pairs: tuple[Pair, ...]
    plain: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NotHere:
    """A part that cannot be measured on this machine, and why: no failure."""

    name: str
    reason: str


def ratio_figure(
    name: str,
    words: str,
    unit: str,
    pairs: Sequence[tuple[float, float]],
    goal: Goal | None,
    *,
    plain: str,
    details: Mapping[str, Any] | None = None,
) -> Figure:
    """Ours over the other, the median of the ratios within the pairs."""
    outcome = statistics.median(ours / other for ours, other in pairs)
    return Figure(
        name,
        words,
        unit,
        statistics.median(ours for ours, _ in pairs),
        statistics.median(other for _, other in pairs),
        outcome,
        None if goal is None else str(goal),
        None if goal is None else goal.holds(outcome),
        tuple(pairs),
        plain,
        details or {},
    )


def level_figure(
    name: str,
    words: str,
    unit: str,
    values: Sequence[float],
    goal: Goal | None,
    details: Mapping[str, Any] | None = None,
) -> Figure:
    """A value held against nothing but its goal: the median."""
    outcome = statistics.median(values)
    return Figure(
        name,
        words,
        unit,
        outcome,
        None,
        outcome,
        None if goal is None else str(goal),
        None if goal is None else goal.holds(outcome),
        tuple((value, None) for value in values),
        "",
        details or {},
    )


def medians(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each key over the rounds."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def in_rotation(things: Sequence[T], number: int) -> list[T]:
    """The order of a round: who is first changes from round to round."""
    at = number % len(things)
    return [*things[at:], *things[:at]]
