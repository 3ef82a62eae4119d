"""What each figure of `poseline bench` is held to, by its name: here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.bench.figures import Goal


@dataclass(frozen=True)
class Rule:
    """How a figure comes from its pairs.

    Args:
        is_ratio: ours over another; else a level that is held against nothing but the goal.
        goal: None where there is none.
    """

    is_ratio: bool
    goal: Goal | None


_RULES = {
    "system_cpu": Rule(True, Goal("at least", 1.2)),
    "system_best": Rule(True, Goal("at least", 1.5)),
    "scaling": Rule(True, Goal("at least", 1.9)),
    "postgres": Rule(True, Goal("at least", 0.7)),
    "people": Rule(True, Goal("at most", 1.05)),
    "people_two_stage": Rule(True, None),
    "first": Rule(False, Goal("at most", 2.0, "s")),
}
_RULES_OF_ENGINES = {
    "system": Rule(True, None),
    "limit": Rule(True, Goal("at least", 0.9)),
    "overhead": Rule(False, Goal("at most", 2.0, "ms")),
    "memory": Rule(False, Goal("under", 600.0, "MB")),
    "slot": Rule(False, Goal("under", 80.0, "MB")),
}
_SYSTEM_REDUCED = Rule(True, Goal("at least", 2.0))
#: `openvino`, or `openvino-bf16` where its precision is reduced.
_ENGINE = re.compile(r"[a-z]+(-[a-z0-9]+)?")


def rule_of(name: str) -> Rule | None:
    """Of a figure; None where no figure has this name."""
    if name in _RULES:
        return _RULES[name]
    part, _, engine = name.partition("_")
    found = _ENGINE.fullmatch(engine)
    if found is None:
        return None
    return _SYSTEM_REDUCED if part == "system" and found[1] else _RULES_OF_ENGINES.get(part)


def goal_of(name: str) -> Goal | None:
    """Of a figure that there is."""
    rule = rule_of(name)
    assert rule is not None, name
    return rule.goal
