"""Patterns of keys fit what the regular expression that says the same fits, in time that a key cannot stretch."""

from __future__ import annotations

import random
import re
import time

import pytest

from pipeline.core.key_pattern import KeyPattern

_PIECE = re.compile(r"\{([^{}]*)\}|(\*)")


def as_regex(pattern: str, before: str = "") -> re.Pattern[str]:
    """The pattern as a regular expression."""
    regex, at = before, 0
    for piece in _PIECE.finditer(pattern):
        regex += re.escape(pattern[at : piece.start()]) + ("[^/]*" if piece[2] else f"(?P<{piece[1]}>[^/]+)")
        at = piece.end()
    return re.compile(regex + re.escape(pattern[at:]), re.DOTALL)


@pytest.mark.parametrize("patterns", [4_000, pytest.param(40_000, marks=pytest.mark.soak)])
def test_parts_are_those_of_the_regular_expression(patterns: int) -> None:
    chosen = random.Random(13)
    fitting = 0
    for _ in range(patterns):
        pieces = [f"{{{name}}}" for name in chosen.sample("abcd", chosen.randint(1, 4))]
        pieces += [chosen.choice(["*", "/", "_", ".", "x", "__", "_x"]) for _ in range(chosen.randint(0, 4))]
        chosen.shuffle(pieces)
        text = "".join(pieces) + ".x"  # with an ending, which is not cut off the key
        key = "".join(chosen.choice("a_x/.\n") for _ in range(chosen.randint(0, 12))) + ".x"
        pattern = KeyPattern.parse(text)
        whole, ending = as_regex(text).fullmatch(key), as_regex(text, "(?:.*/)?").fullmatch(key)
        assert pattern.match_whole(key) == (None if whole is None else whole.groupdict()), (text, key)
        fitting += whole is not None
        try:
            found = pattern.match(key)
        except ValueError:  # a part that is no value of a tag
            assert ending is not None
        else:
            assert (found is None) == (ending is None), (text, key)
    assert fitting > patterns / 20


def test_no_key_keeps_a_listing_busy() -> None:
    began_s = time.process_time()
    for text in ("{team}/{a}_{b}_{c}_{d}_{e}.mp4", "{team}/{a}{b}{c}{d}/{name}", "{team}/*_*_*_*_{name}.mp4"):
        pattern = KeyPattern.parse(text)
        for key in ("u18/" + "_" * 1_000 + ".mp5", "u18/" + "_" * 1_000 + "/", "_" * 1_000):
            assert pattern.match_whole(key) is None
            assert pattern.match(key) is None
    assert time.process_time() - began_s < 1


@pytest.mark.parametrize("text", ["{{team}/{name}", "{te{am}/{name}", "{team}}/{name}", "{team}/{name"])
def test_braces_that_are_no_part_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no pattern"):
        KeyPattern.parse(text)
