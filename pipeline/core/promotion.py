"""By which rule a new run becomes its video's current run: a value that is read from a line of text and written back.

`automatic`: at once. `manual`: only by a person. Anything else is a list of conditions on the comparison with the run
that is current, all of which must hold: `better`, or bounds such as `oks>=0.9, lost<=2%, missing<=0, drift_p95<=5%`.
What a comparison cannot tell does not hold.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from pipeline.core.comparison_figures import ComparisonFigures, Drift

Mode = Literal["automatic", "manual", "conditions"]

_LONGEST = 500
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_CONDITION = re.compile(rf"([a-z_\d]+)(?:\.([\w-]+))?\s*(>=|<=|>|<|==?)\s*({_NUMBER})\s*(%|px)?", re.IGNORECASE)
_AT_LEAST, _AT_MOST = (">=", ">"), ("<=", "<")
_WORDS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}


@dataclass(frozen=True)
class _Measure:
    """What a condition may be on: the ways in which it may be bounded, and the units of the bound."""

    operators: tuple[str, ...]
    units: tuple[str, ...] = ("",)
    least: float = -math.inf
    most: float = math.inf


_DRIFT = _Measure(_AT_MOST, ("%", "px"), least=0)
_SHARE = _Measure(_AT_LEAST, least=0, most=1)
MEASURES = {
    "oks": _SHARE,
    "oks_min": _SHARE,
    "agreement": _SHARE,
    "lost": _Measure(_AT_MOST, ("", "%"), least=0),
    "found": _Measure((*_AT_LEAST, *_AT_MOST), ("", "%"), least=0),
    "people": _Measure(_AT_LEAST, ("", "%")),
    "missing": _Measure(_AT_MOST, ("", "%")),
    "confidence": _Measure(_AT_LEAST, least=-1, most=1),
    "drift": _DRIFT,
    "drift_p95": _DRIFT,
}


@dataclass(frozen=True)
class Condition:
    """One bound on a comparison.

    Args:
        joint: of `drift` and `drift_p95`, the keypoint that is meant; all together where it is None.
        unit: `%` of what there was before (of drift, of the person's size), `px`, or none.
    """

    measure: str
    operator: str
    limit: float
    unit: str = ""
    joint: str | None = None

    def __str__(self) -> str:
        of_joint = "" if self.joint is None else f".{self.joint}"
        return f"{self.measure}{of_joint}{self.operator}{self.limit:.15g}{self.unit}"

    def holds(self, figures: ComparisonFigures) -> bool:
        """Whether it holds; what is unknown does not, unless there was nobody before whom it could be about."""
        value = _value(self, figures)
        if value is None:
            return not figures.people_before and self.joint is None and figures.matched_by == "keypoints"
        # Shares are quotients of whole numbers: a bound of 2% admits 2 of 100.
        slack = 1e-9 * max(1.0, abs(self.limit))
        return {
            ">=": value >= self.limit - slack,
            "<=": value <= self.limit + slack,
            ">": value > self.limit + slack,
            "<": value < self.limit - slack,
        }[self.operator]

    def finding(self, figures: ComparisonFigures) -> str:
        """What was found, in one line: `lost: 3.1% (12 of 387 people)`."""
        name = self.measure if self.joint is None else f"{self.measure}.{self.joint}"
        value = _value(self, figures)
        if value is None:
            return f"{name}: unknown, {_why_unknown(self, figures)}"
        return f"{name}: {_in_words(self, figures, value)}"

    def failure(self, figures: ComparisonFigures) -> str | None:
        """Why it does not hold, in one line; None where it does."""
        if self.holds(figures):
            return None
        return f"{self.finding(figures)}, wanted {_WORDS[self.operator]} {self.limit:g}{self.unit}"


@dataclass(frozen=True)
class Decision:
    """Whether a run becomes its video's current run, and why or why not, in one line."""

    promoted: bool
    reason: str


@dataclass(frozen=True)
class PromotionRule:
    """A rule; `str()` writes it as `parse_rule` reads it.

    Args:
        better: `better` is among the conditions.
    """

    mode: Mode
    conditions: tuple[Condition, ...] = ()
    better: bool = False

    def __str__(self) -> str:
        if self.mode != "conditions":
            return self.mode
        return ", ".join((*(["better"] * self.better), *map(str, self.conditions)))

    @property
    def needs_comparison(self) -> bool:
        """Whether only a comparison can tell."""
        return self.mode == "conditions"

    def decide(self, figures: ComparisonFigures | None) -> Decision:
        """Whether a run that differs so from the current one takes its place.

        Args:
            figures: None where there is no comparison; then no condition holds.
        """
        if self.mode == "automatic":
            return Decision(True, "automatic")
        if self.mode == "manual":
            return Decision(False, "manual: a person decides, by `poseline promote`")
        if figures is None:
            return Decision(False, "unknown: it could not be compared with the current run; `poseline promote` decides")
        wanted = (*(NOT_WORSE if self.better else ()), *self.conditions)
        failures = [line for condition in wanted if (line := condition.failure(figures)) is not None]
        if self.better and not failures and not any(condition.holds(figures) for condition in _IMPROVED):
            found = ", ".join(condition.finding(figures) for condition in _IMPROVED)
            failures.append(f"better: nothing is better by enough ({found})")
        if failures:
            return Decision(False, "; ".join(dict.fromkeys(failures)))
        return Decision(True, "; ".join(dict.fromkeys(condition.finding(figures) for condition in wanted)))


def parse_rule(text: str) -> PromotionRule:
    """The rule that a line of text says.

    Raises:
        ValueError: it says none; the message names the part that is wrong and how to write it.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a rule has at most {_LONGEST} characters, this one has {len(text)}")
    parts = [part.strip().lower().replace("≥", ">=").replace("≤", "<=") for part in text.split(",")]
    if parts == [""]:
        raise ValueError("a rule is `automatic`, `manual`, `better`, or bounds such as `oks>=0.9, lost<=2%`")
    if parts in (["automatic"], ["manual"]):
        return PromotionRule("automatic" if parts == ["automatic"] else "manual")
    for word in ("automatic", "manual"):
        if word in parts:
            raise ValueError(f"`{word}` stands alone; a rule is either that or conditions")
    better = "better" in parts
    return PromotionRule("conditions", tuple(_condition(part) for part in parts if part != "better"), better)


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        known = ", ".join(MEASURES)
        raise ValueError(
            f"{text!r} is no condition: write a measure, a comparison and a number, such as `lost<=2%`; "
            f"measures are {known}; or `better`, `automatic`, `manual`"
        )
    name, joint, operator, number, unit = match.groups()
    measure, limit, unit = MEASURES.get(name), float(number), unit or ""
    if measure is None:
        raise ValueError(f"there is no measure {name!r}; there are {', '.join(MEASURES)}")
    if joint is not None and measure is not _DRIFT:
        raise ValueError(f"{name} is not of one keypoint; drift and drift_p95 are, such as `drift.left_ankle<=4%`")
    if operator not in measure.operators:
        wanted = " or ".join(measure.operators)
        raise ValueError(f"{text!r}: {name} is bounded by {wanted}, such as `{name}{measure.operators[0]}{number}`")
    if unit not in measure.units:
        allowed = " or ".join(each or "no unit" for each in measure.units)
        raise ValueError(f"{text!r}: {name} takes {allowed}")
    if not measure.least <= limit <= measure.most:
        between = f"{measure.least:g} to {measure.most:g}" if math.isfinite(measure.most) else "0 or more"
        raise ValueError(f"{text!r}: {name} is {between}, not {limit:g}")
    return Condition(name, operator, limit, unit, joint)


#: What `better` asks for: nothing is worse but for a little, and something is better by enough to matter.
NOT_WORSE = tuple(map(_condition, ("missing<=0", "lost<=2%", "people>=0", "confidence>=-0.02")))
_IMPROVED = tuple(map(_condition, ("missing<0", "people>=1%", "confidence>=0.01")))


def _value(condition: Condition, figures: ComparisonFigures) -> float | None:
    """The measure in the condition's unit; None where the comparison does not tell it."""
    name, as_percent = condition.measure, condition.unit == "%"
    if name in {"drift", "drift_p95"}:
        drift = _drift_of(condition, figures)
        if drift is None:
            return None
        px, body = (drift.px_median, drift.body_median) if name == "drift" else (drift.px_p95, drift.body_p95)
        return 100 * body if as_percent else px
    if name in {"lost", "found", "people"}:
        count = {
            "lost": figures.people_lost,
            "found": figures.people_found,
            "people": figures.people_after - figures.people_before,
        }[name]
        return _percent(count, figures.people_before) if as_percent else count
    if name == "missing":
        more = figures.frames_missing_after - figures.frames_missing_before
        return _percent(more, figures.frames) if as_percent else more
    value: float | None = {
        "oks": figures.oks_mean,
        "oks_min": figures.oks_min,
        "agreement": figures.agreement,
        "confidence": figures.confidence_change,
    }[name]
    return value


def _drift_of(condition: Condition, figures: ComparisonFigures) -> Drift | None:
    return figures.drift if condition.joint is None else figures.joints.get(condition.joint)


def _percent(count: int, of: int) -> float:
    if of:
        return 100 * count / of
    return math.copysign(math.inf, count) if count else 0.0


def _in_words(condition: Condition, figures: ComparisonFigures, value: float) -> str:
    before, after = figures.people_before, figures.people_after
    more = figures.frames_missing_after - figures.frames_missing_before
    # In plain numbers, and what a percentage is of.
    words = {
        "lost": (f"{value:g} people", f"{figures.people_lost} of {before} people"),
        "found": (f"{value:g} people", f"{figures.people_found} new beside {before} people"),
        "people": (f"{value:+g}", f"{before} before, {after} now"),
        "missing": (f"{value:+g} frames", f"{more:+} of {figures.frames} frames"),
        "confidence": (f"{value:+.3f}", ""),
        "drift": (f"{value:.2f} px", "of a person's size"),
        "drift_p95": (f"{value:.2f} px", "of a person's size"),
    }
    plain, of = words.get(condition.measure, (f"{value:.3f}", ""))
    if condition.unit != "%":
        return plain
    return f"{value:.1f}% ({of})" if math.isfinite(value) else of


def _why_unknown(condition: Condition, figures: ComparisonFigures) -> str:
    if figures.matched_by == "boxes":
        return "the models have no keypoint of the same name"
    if condition.joint is not None and condition.joint not in figures.keypoint_names:
        return f"the models do not share a keypoint {condition.joint!r}"
    return "nobody is in both runs" if not figures.people_in_both else "no keypoint of theirs is sure enough"
