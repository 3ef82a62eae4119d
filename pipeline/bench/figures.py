"""A figure is the median of pairs of measurements, ours and a baseline's; the goals are here."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pipeline.errors import PoselineError

T = TypeVar("T")
Pair = tuple[float, float | None]


class BenchFailed(PoselineError):
    """A measurement could not be made."""


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        pairs: of measurements per figure.
        clip_s: seconds of video; the clip is looped until it is at least as long.
        baseline_frames: that conversion and network process in their baselines.
        memory_s: seconds of video while memory is sampled.
        slots: of the workers whose memory is sampled; the goal is for the first.
        first_pose_rounds: how often the time to the first pose is measured.
        rows: frames copied into Postgres.
    """

    pairs: int = 3
    clip_s: float = 60.0
    baseline_frames: int = 200
    memory_s: float = 15.0
    slots: tuple[int, ...] = (2, 3, 4)
    first_pose_rounds: int = 5
    rows: int = 12_000


@dataclass(frozen=True)
class Goal:
    """A bound on a figure's outcome.

    Args:
        unit: of the limit; empty for a ratio.
    """

    kind: Literal["at least", "at most", "under"]
    limit: float
    unit: str = ""

    def is_met(self, outcome: float) -> bool:
        """Whether the unrounded outcome is within the bound."""
        if self.kind == "at least":
            return outcome >= self.limit
        return outcome <= self.limit if self.kind == "at most" else outcome < self.limit

    def __str__(self) -> str:
        return f"{self.kind} {self.limit:.4g} {self.unit}".strip()


#: By the figure's name, or by the part before its engine: `limit` for `limit_openvino-bf16`.
_GOALS = {
    "system_cpu": Goal("at least", 1.2),
    "system_best": Goal("at least", 1.5),
    "scaling": Goal("at least", 1.9),
    "postgres": Goal("at least", 0.7),
    "people": Goal("at most", 1.05),
    "first_pose": Goal("at most", 2.0, "s"),
    "limit": Goal("at least", 0.9),
    "overhead": Goal("at most", 2.0, "ms"),
    "memory": Goal("under", 600.0, "MB"),
    "slot": Goal("under", 80.0, "MB"),
    "decode": Goal("at least", 0.9),
    "parent": Goal("under", 0.3, "ms"),
}
_REDUCED_PRECISION = Goal("at least", 2.0)
_WITHOUT_GOAL = {"people_two_stage"}


def goal_of(name: str) -> Goal | None:
    """The goal of the figure of that name, None where it has none."""
    part, _, engine = name.partition("_")
    if part == "system" and "-" in engine:
        return _REDUCED_PRECISION
    return None if name in _WITHOUT_GOAL else _GOALS.get(name) or _GOALS.get(part)


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Args:
        name: for programs.
        label: for people.
        unit: of `ours` and `baseline`.
        ours: the median.
        baseline: its median, None where there is no baseline.
        outcome: what the goal is about: the median of the ratios within the pairs, or `ours`.
        goal: as text, None where there is none.
        met: None where there is no goal.
        pairs: every measurement, ours and the baseline's.
        baseline_label: what the baseline is.
        note: more about the figure, for people.
        details: more about the figure, for programs.
    """

    name: str
    label: str
    unit: str
    ours: float
    baseline: float | None
    outcome: float
    goal: str | None
    met: bool | None
    pairs: tuple[Pair, ...]
    baseline_label: str = ""
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unavailable:
    """An engine that this machine does not have, and why."""

    name: str
    reason: str


def ratio_figure(
    name: str,
    label: str,
    unit: str,
    pairs: Sequence[tuple[float, float]],
    *,
    baseline_label: str,
    note: str = "",
    details: Mapping[str, Any] | None = None,
) -> Figure:
    """A figure whose outcome is ours over the baseline's, the median of the ratios within the pairs."""
    ours, baseline = (statistics.median(side) for side in zip(*pairs, strict=True))
    outcome, goal = statistics.median(ours / other for ours, other in pairs), goal_of(name)
    said, met = (None, None) if goal is None else (str(goal), goal.is_met(outcome))
    more = (baseline_label, note, details or {})
    return Figure(name, label, unit, ours, baseline, outcome, said, met, tuple(pairs), *more)


def level_figure(
    name: str,
    label: str,
    unit: str,
    values: Sequence[float],
    *,
    note: str = "",
    details: Mapping[str, Any] | None = None,
) -> Figure:
    """A figure without a baseline; its outcome is the median."""
    outcome, goal = statistics.median(values), goal_of(name)
    said, met = (None, None) if goal is None else (str(goal), goal.is_met(outcome))
    pairs = tuple((value, None) for value in values)
    return Figure(name, label, unit, outcome, None, outcome, said, met, pairs, "", note, details or {})


def medians(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each key over the rounds."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def in_rotation(things: Sequence[T], number: int) -> list[T]:
    """The order of round `number`: another one is first in each round."""
    at = number % len(things)
    return [*things[at:], *things[:at]]
