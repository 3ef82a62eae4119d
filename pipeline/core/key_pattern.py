"""Tags from the names of files and objects: `{season}/{team}/{match}_{camera}.mp4`.

Whoever may write to a watched bucket chooses the keys, so matching takes time in proportion to a key's length; regular
expressions with several parts in one name take its fourth power.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.tags import check_key, checked_tags

_ENDING = re.compile(r"\.[^./]+$")
_PIECE = re.compile(r"\{([^{}]*)\}|(\*)")


@dataclass(frozen=True)
class _NamePattern:
    """The pattern of one folder's or file's name.

    Args:
        texts: what stands before, between and after the parts, one more than there are parts.
        shortest: the fewest characters of each part: 1, or 0 of `*`.
    """

    texts: tuple[str, ...]
    shortest: tuple[int, ...]

    def parts(self, name: str) -> list[str] | None:
        """What each part is, the first as long as possible, then the second; None where the name does not fit."""
        begin, end = len(self.texts[0]), len(name) - len(self.texts[-1])
        if not self.shortest:
            return [] if name == self.texts[0] else None
        if not name.startswith(self.texts[0]) or not name.endswith(self.texts[-1]) or begin > end:
            return None
        found: list[str] = []
        # What follows a part fits up to some place and anywhere before it, so the last place is the right one.
        for text, shortest in reversed(list(zip(self.texts[1:-1], self.shortest[1:], strict=True))):
            at = name.rfind(text, begin, max(begin, end - shortest)) if end - shortest >= begin else -1
            if at < 0:
                return None
            found.append(name[at + len(text) : end])
            end = at
        found.append(name[begin:end])
        return found[::-1] if end - begin >= self.shortest[0] else None


@dataclass(frozen=True)
class KeyPattern:
    """A pattern that is matched with the end of a path or object key, from the beginning of a folder's name on.

    `{name}` is a part of one folder's or file's name, and becomes the tag of that name; where two stand side by side
    the first takes as much as it can. `*` is any part without a name. A pattern without an ending fits files with any.
    """

    text: str
    keys: tuple[str, ...]
    _parts_named: tuple[str | None, ...]
    _names: tuple[_NamePattern, ...]

    @classmethod
    def parse(cls, text: str) -> KeyPattern:
        """Read a pattern.

        Raises:
            ValueError: it names no part, one part twice, or a part that is no key of a tag.
        """
        named = [piece[1] for piece in _PIECE.finditer(text)]
        keys = [name for name in named if name is not None]
        for name in keys:
            check_key(name)
            if keys.count(name) > 1:
                raise ValueError(f"{text!r} names the part {name} twice")
        rest = _PIECE.sub("", text)
        if not keys or "{" in rest or "}" in rest:
            raise ValueError(f"{text!r} is no pattern: write it like {{season}}/{{match}}_{{camera}}.mp4")
        return cls(text, tuple(keys), tuple(named), tuple(_read_name(each) for each in text.split("/")))

    def match(self, path: str) -> dict[str, str] | None:
        """The tags that a path or key has by its names; None where it does not fit.

        Raises:
            ValueError: a part cannot be a tag's value.
        """
        parts = self._parts(path.split("/")[-len(self._names) :])
        return None if parts is None else checked_tags(parts)

    def match_whole(self, path: str) -> dict[str, str] | None:
        """The parts of a path, unchecked: folders before those of the pattern do not fit. None where it does not."""
        return self._parts(path.split("/"))

    def _parts(self, names: Sequence[str]) -> dict[str, str] | None:
        if len(names) != len(self._names):
            return None
        last = names[-1] if "." in self.text.rpartition("/")[2] else _ENDING.sub("", names[-1])
        found: list[str] = []
        for pattern, name in zip(self._names, [*names[:-1], last], strict=True):
            parts = pattern.parts(name)
            if parts is None:
                return None
            found += parts
        return {key: part for key, part in zip(self._parts_named, found, strict=True) if key is not None}


def _read_name(text: str) -> _NamePattern:
    pieces = list(_PIECE.finditer(text))
    ends = [0, *(piece.end() for piece in pieces)]
    begins = [*(piece.start() for piece in pieces), len(text)]
    texts = tuple(text[end:begin] for end, begin in zip(ends, begins, strict=True))
    return _NamePattern(texts, tuple(0 if piece[2] else 1 for piece in pieces))
