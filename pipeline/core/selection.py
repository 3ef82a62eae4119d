"""Which videos are meant: conditions such as `tag.season=2025`, `age>30d` or `model!=rtmo-m`; all must hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.core.tags import checked_tags

#: What a condition compares, and its operators.
Field = Literal["tag", "name", "model", "age", "analysed", "accuracy", "missing", "empty", "confidence"]
Operator = Literal["=", "!=", "<", ">"]

_EQUAL: tuple[Operator, ...] = ("=", "!=")
_ORDER: tuple[Operator, ...] = ("<", ">")
_OPERATORS: dict[Field, tuple[Operator, ...]] = {
    "tag": _EQUAL,
    "name": _EQUAL,
    "model": _EQUAL,
    "age": _ORDER,
    "analysed": ("=",),
    "accuracy": ("=",),
    "missing": _ORDER,
    "empty": _ORDER,
    "confidence": _ORDER,
}
_WORDS: dict[Field, tuple[str, ...]] = {"analysed": ("never", "yes"), "accuracy": ("worse",)}
_CONDITION = re.compile(
    r"(?P<field>[a-z]+)(?:\.(?P<key>[^=<>!]+))?\s*(?P<operator>!=|=|<|>)\s*(?P<value>.*)", re.DOTALL
)
_AGE = re.compile(r"(\d{1,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)(%?)")

EXAMPLES = "tag.season=2025, name=*final*, age>30d, model!=rtmo-m, analysed=never, missing>1%, confidence<0.5"


@dataclass(frozen=True)
class Condition:
    """One condition on a video.

    Args:
        key: of the tag, where `field` is `tag`.
        text: the value for names, models and tags, where `*` is any text.
        number: the value for ages in seconds, and for shares and confidence from 0 to 1.
    """

    field: Field
    operator: Operator
    text: str = ""
    number: float = 0.0
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            ValueError: it is none.
        """
        parts = _CONDITION.fullmatch(text.strip())
        field = next((each for each in _OPERATORS if parts and each == parts["field"]), None)
        if parts is None or field is None or (field == "tag") != bool(parts["key"]):
            raise ValueError(f"{text!r} is no condition; write such as {EXAMPLES}")
        operator = next((each for each in _OPERATORS[field] if each == parts["operator"]), None)
        value = parts["value"].strip()
        if operator is None:
            raise ValueError(f"{text!r}: {field} goes with {' or '.join(_OPERATORS[field])}")
        if field in _WORDS and value not in _WORDS[field]:
            raise ValueError(f"{text!r}: write {' or '.join(f'{field}={word}' for word in _WORDS[field])}")
        if field == "tag":
            [(key, value)] = checked_tags({parts["key"].strip(): value}).items()
            return cls(field, operator, value, key=key)
        if operator in _EQUAL:
            if not value or "\0" in value:
                raise ValueError(f"{text!r}: say what {field} is to be")
            return cls(field, operator, value)
        return cls(field, operator, number=_age_s(text, value) if field == "age" else _share(text, value))

    def __str__(self) -> str:
        if self.field == "age":
            hours = round(self.number / 3600)
            value = f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"
        elif self.operator in _ORDER:
            value = f"{self.number:g}"
        else:
            value = self.text
        return f"{self.field}{'.' if self.key else ''}{self.key}{self.operator}{value}"


@dataclass(frozen=True)
class Selection:
    """Videos for which all conditions hold; all videos where there is none."""

    conditions: tuple[Condition, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Selection:
        """Read conditions.

        Raises:
            ValueError: one is none.
        """
        return cls(tuple(Condition.parse(text) for text in texts))

    def to_list(self) -> list[str]:
        """The conditions as texts, as they are stored."""
        return [str(condition) for condition in self.conditions]

    def __str__(self) -> str:
        return " and ".join(self.to_list()) or "every video"


def _age_s(text: str, value: str) -> float:
    if (parts := _AGE.fullmatch(value)) is None:
        raise ValueError(f"{text!r}: write an age such as 30d, 12h or 4w")
    return int(parts[1]) * _HOURS[parts[2]] * 3600.0


def _share(text: str, value: str) -> float:
    if (parts := _SHARE.fullmatch(value)) is None:
        raise ValueError(f"{text!r}: write a share such as 5% or 0.05")
    number = float(parts[1]) / (100 if parts[2] else 1)
    if number > 1 or (parts[1] == "1" and not parts[2]):
        raise ValueError(f"{text!r}: write a share from 0 to 1, or in percent")
    return number
