"""What a listing found: counted by outcome, with a few examples of what was not taken in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.watched_keys import UNREMARKABLE, Outcome

#: Beside the outcomes: `new` were taken in by this listing, `gone` are videos whose object it missed.
_ALWAYS = ("seen", "taken", "new", "gone", "pages")
_MOST_EXAMPLES = 5
_LONGEST = 300


class Findings:
    """Counts that go on where an earlier tick left off. As JSON they are small, however many keys there are."""

    def __init__(self, before: Mapping[str, Any]) -> None:
        self._counts: dict[str, Any] = dict.fromkeys(_ALWAYS, 0)
        self._counts |= {name: value for name, value in before.items() if name != "examples"}
        examples = before.get("examples", {})
        self._examples: dict[str, list[list[str]]] = {name: list(some) for name, some in examples.items()}

    def add(self, outcome: Outcome, key: str, why: str = "") -> None:
        """Count one object."""
        self.count("seen")
        self.count(outcome)
        if outcome not in UNREMARKABLE:
            self.show(outcome, key, why)

    def count(self, what: str, number: float = 1) -> None:
        """Count something that is no outcome of an object."""
        self._counts[what] = round(self._counts.get(what, 0) + number, 3)

    @property
    def page_keys(self) -> int | None:
        """How many keys the next page should have; None for as many as the store gives."""
        found: int | None = self._counts.get("page_keys")
        return found

    @page_keys.setter
    def page_keys(self, number: int | None) -> None:
        self._counts.pop("page_keys", None)
        if number is not None:
            self._counts["page_keys"] = number

    def show(self, what: str, key: str, why: str) -> None:
        """Keep an example, if there are few yet; of refused videos one of each reason."""
        some = self._examples.setdefault(what, [])
        if len(some) < _MOST_EXAMPLES and not (what == "refused" and any(why == other for _, other in some)):
            some.append([key[:_LONGEST], why[:_LONGEST]])

    def to_dict(self) -> dict[str, Any]:
        """As JSON fields."""
        return {**self._counts, "examples": {name: some for name, some in self._examples.items() if some}}
