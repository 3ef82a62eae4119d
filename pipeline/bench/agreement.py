"""Whether a kept report agrees with itself: what follows from other numbers is made again, as it was made."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.bench.derived import best_figure, each_slot_mb, fewest_slots_mb, note_of
from pipeline.bench.figures import Figure, level_figure, ratio_figure
from pipeline.bench.goals import Rule, rule_of

#: Each fact, and from where it follows.
_FACTS = (
    ("ours", "its pairs give"),
    ("against", "its pairs give"),
    ("outcome", "its pairs give"),
    ("goal", "this version's is"),
    ("met", "its pairs and this version's goal give"),
)
_OF_THE_WHOLE = {"system", "limit", "overhead"}
_BY_HAND = "was changed by hand: "
#: What comes of details that are not what they were.
_ODD = (TypeError, KeyError, ValueError, AttributeError, ArithmeticError, IndexError)


def find_disagreement(figures: Sequence[Figure], pairs: int) -> str | None:
    """The first thing that does not agree, as the end of a sentence about the file; None where all does.

    Args:
        pairs: that each figure of the whole system has.
    """
    by_name = {figure.name: figure for figure in figures}
    if len(by_name) < len(figures):
        return f"{_BY_HAND}a figure stands in it twice"
    return next((words for figure in figures for words in _disagreements(figure, by_name, pairs)), None)


def _disagreements(figure: Figure, by_name: Mapping[str, Figure], pairs: int) -> Iterator[str]:
    name, rule = figure.name, rule_of(figure.name)
    if rule is None:
        yield f"{_BY_HAND}there is no figure {json.dumps(name)}"
        return
    if any((other is None or other <= 0) if rule.is_ratio else (other is not None) for _, other in figure.pairs):
        yield f"{_BY_HAND}{name} has pairs that are not of {'a ratio' if rule.is_ratio else 'a level'}"
        return
    if name.partition("_")[0] in _OF_THE_WHOLE and len(figure.pairs) != pairs:
        yield _says(name, "pairs", len(figure.pairs), "the report's number of them is", pairs)
    again = _made_again(figure, rule)
    for fact, whence in _FACTS:
        said, made = getattr(figure, fact), getattr(again, fact)
        if not _same(said, made):
            yield _says(name, fact, said, whence, made)
    try:
        yield from _follow(figure, by_name)
    except _ODD:
        yield f"{_BY_HAND}{name} lacks what it follows from"


def _made_again(figure: Figure, rule: Rule) -> Figure:
    if rule.is_ratio:
        pairs = [(ours, other) for ours, other in figure.pairs if other is not None]
        return ratio_figure(figure.name, figure.words, figure.unit, pairs, rule.goal, plain=figure.plain)
    return level_figure(figure.name, figure.words, figure.unit, [ours for ours, _ in figure.pairs], rule.goal)


def _follow(figure: Figure, by_name: Mapping[str, Figure]) -> Iterator[str]:
    """What follows from details and from other figures."""
    name, details = figure.name, figure.details
    part, _, engine = name.partition("_")
    note = note_of(name, details)
    if name == "system_best":
        full = [each for each in by_name.values() if each.name.startswith("system_") and "-" not in each.name]
        best = best_figure([each for each in full if each is not figure])
        for fact in ("words", "pairs"):
            if getattr(figure, fact) != getattr(best, fact):
                yield _says(name, fact, getattr(figure, fact), "the engines' figures give", getattr(best, fact))
    elif part == "people":
        curve = _curve(details)
        for count, median in ((max(curve), figure.ours), (min(curve), figure.against)):
            if not _same(curve[count], median):
                yield _says(name, f"curve at {count}", curve[count], "its pairs give", median)
    elif part == "memory":
        seen_mb = fewest_slots_mb(details["tree_mb"])
        if not _same(seen_mb, figure.ours):
            yield _says(name, "ours", figure.ours, "what was seen gives", seen_mb)
    elif part == "slot":
        seen_mb, note = each_slot_mb(by_name[f"memory_{engine}"].details["tree_mb"])
        if not _same(seen_mb, figure.ours):
            yield _says(name, "ours", figure.ours, f"memory_{engine} gives", seen_mb)
    if details.get("note") != note:
        yield _says(name, "note", details.get("note"), "its details give", note)


def _curve(details: Mapping[str, Any]) -> dict[float, float]:
    """Milliseconds over people, of what can be drawn."""
    people, ms = details["people"], details["ms"]
    numbers = all(isinstance(each, int | float) for each in (*people, *ms))
    if not (numbers and isinstance(details["title"], str) and isinstance(details["is_standin"], bool)):
        raise TypeError
    return dict(zip(people, ms, strict=True))


def _same(said: object, made: object) -> bool:
    if isinstance(said, bool) or isinstance(made, bool):
        return said is made
    if isinstance(said, int | float) and isinstance(made, int | float):
        return math.isclose(said, made, rel_tol=1e-9)
    return said == made


def _says(name: str, fact: str, said: Any, whence: str, made: Any) -> str:
    """In JSON's own words."""
    lead = f"is of another version, or {_BY_HAND}" if fact == "goal" else _BY_HAND
    return f"{lead}{name}'s {fact} says {json.dumps(said)}, {whence} {json.dumps(made)}"
