"""Tags of videos: short texts by key, such as season=2026, by which runs are selected."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

Tags = Mapping[str, str]

MAX_TAGS = 32
MAX_KEY_CHARACTERS = 64
MAX_VALUE_CHARACTERS = 256
_KEY = re.compile(r"\w[\w.-]*")


def parse_tags(texts: Iterable[str]) -> dict[str, str]:
    """Tags from texts of the form key=value.

    Raises:
        ValueError: one is not of that form, or two give one key different values.
    """
    tags: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key, value = composed(key.strip()), composed(value.strip())
        if not equals:
            raise ValueError(f"{text!r} is no tag: write key=value")
        if tags.get(key, value) != value:
            raise ValueError(f"the tag {key} is there twice, as {tags[key]!r} and {value!r}")
        tags[key] = value
    return checked_tags(tags)


def checked_tags(tags: Mapping[str, object]) -> dict[str, str]:
    """Tags whose keys and values may be stored, as `composed`.

    Raises:
        ValueError: a key or a value is empty, too long or not printable, a value is no text, or there are too many.
    """
    if len(tags) > MAX_TAGS:
        raise ValueError(f"{len(tags)} tags are too many: a video has {MAX_TAGS} at most")
    checked: dict[str, str] = {}
    for given, value in tags.items():
        key = composed(given)
        check_key(key)
        if not isinstance(value, str):
            raise ValueError(f"the value of the tag {key} is no text: write it in quotes")
        checked[key] = composed(value)
        if not value or len(checked[key]) > MAX_VALUE_CHARACTERS or not value.isprintable():
            raise ValueError(f"the value of the tag {key} must have 1 to {MAX_VALUE_CHARACTERS} printable characters")
    return checked


def composed(text: str) -> str:
    """A text with its accents composed (NFC): what is typed as `ü` is found, however a file system writes it."""
    return unicodedata.normalize("NFC", text)


def check_key(key: str) -> None:
    """Check a tag's key.

    Raises:
        ValueError: it has other characters than letters, digits and . _ -, or too many.
    """
    if len(key) > MAX_KEY_CHARACTERS or not _KEY.fullmatch(key):
        shown = "".join(c if c.isprintable() else "?" for c in key[:MAX_KEY_CHARACTERS])
        raise ValueError(
            f"{shown!r} is no key of a tag: use 1 to {MAX_KEY_CHARACTERS} letters, digits or . _ -, "
            "a letter, digit or _ first"
        )


def format_tags(tags: Tags) -> str:
    """Tags as people write them: `camera=03, season=2026`."""
    return ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))
