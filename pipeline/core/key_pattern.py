"""Tags from the names of files and objects: `{season}/{team}/{match}_{camera}.mp4`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.core.tags import check_key, checked_tags

_ENDING = re.compile(r"\.[^./]+$")
_PIECE = re.compile(r"\{([^{}]*)\}|(\*)")


@dataclass(frozen=True)
class KeyPattern:
    """A pattern that is matched with the end of a path or object key, from the beginning of a folder's name on.

    `{name}` is a part of one folder's or file's name, and becomes the tag of that name; where two stand side by side
    the first takes as much as it can. `*` is any part without a name. A pattern without an ending fits files with any.
    """

    text: str
    keys: tuple[str, ...]
    _regex: re.Pattern[str]
    _whole: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> KeyPattern:
        """Read a pattern.

        Raises:
            ValueError: it names no part, one part twice, or a part that is no key of a tag.
        """
        regex, keys, at = "", [], 0
        for piece in _PIECE.finditer(text):
            regex += re.escape(text[at : piece.start()])
            at = piece.end()
            if piece[2]:
                regex += "[^/]*"
                continue
            check_key(piece[1])
            if piece[1] in keys:
                raise ValueError(f"{text!r} names the part {piece[1]} twice")
            keys.append(piece[1])
            regex += "([^/]+)"
        rest = text[at:]
        if not keys or "{" in rest or "}" in rest:
            raise ValueError(f"{text!r} is no pattern: write it like {{season}}/{{match}}_{{camera}}.mp4")
        regex += re.escape(rest)
        whole = re.compile(regex, re.DOTALL)
        return cls(text, tuple(keys), re.compile(f"(?:.*/)?{regex}", re.DOTALL), whole)

    def match(self, path: str) -> dict[str, str] | None:
        """The tags that a path or key has by its names; None where it does not fit.

        Raises:
            ValueError: a part cannot be a tag's value.
        """
        parts = self._parts(path, self._regex)
        return None if parts is None else checked_tags(parts)

    def match_whole(self, path: str) -> dict[str, str] | None:
        """The parts of a path, unchecked: folders before those of the pattern do not fit. None where it does not."""
        return self._parts(path, self._whole)

    def _parts(self, path: str, regex: re.Pattern[str]) -> dict[str, str] | None:
        if "." not in self.text.rpartition("/")[2]:
            path = _ENDING.sub("", path)
        found = regex.fullmatch(path)
        return None if found is None else dict(zip(self.keys, found.groups(), strict=True))
