"""Tags, and the pattern that reads them from paths and keys."""

from __future__ import annotations

import unicodedata

import pytest

from pipeline.core.key_pattern import KeyPattern
from pipeline.core.tags import MAX_TAGS, checked_tags, format_tags, parse_tags


def test_tags_are_keys_with_values() -> None:
    tags = parse_tags(["season=2026", "match=FC Süd = a draw", " camera = 03 "])
    assert tags == {"season": "2026", "match": "FC Süd = a draw", "camera": "03"}
    assert format_tags(tags) == "camera=03, match=FC Süd = a draw, season=2026"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["season"], "write key=value"),
        (["=2026"], "no key of a tag"),
        (["a b=1"], "no key of a tag"),
        (["\n=1"], "no key of a tag"),
        (["k" * 65 + "=1"], "1 to 64"),
        (["season="], "1 to 256"),
        (["season=" + "x" * 257], "1 to 256"),
        (["season=a\tb"], "printable"),
        (["season=1", "season=2"], "there twice"),
        ([f"k{n}=1" for n in range(MAX_TAGS + 1)], "32 at most"),
    ],
)
def test_what_is_no_tag_is_said(texts: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_tags(texts)


def test_accents_are_the_same_however_a_file_system_writes_them() -> None:
    decomposed = unicodedata.normalize("NFD", "Größe=Süd")
    assert parse_tags([decomposed]) == {"Größe": "Süd"}
    assert checked_tags(dict([decomposed.split("=")])) == {"Größe": "Süd"}
    found = KeyPattern.parse("{club}/{camera}.mp4").match(unicodedata.normalize("NFD", "/nas/Süd/03.mp4"))
    assert found == {"club": "Süd", "camera": "03"}


def test_values_are_texts() -> None:
    with pytest.raises(ValueError, match="in quotes"):
        checked_tags({"season": 2026})


@pytest.mark.parametrize(
    ("pattern", "path", "tags"),
    [
        (
            "{season}/{team}/{match}_{camera}.mp4",
            "/mnt/nas/2026/u18/semi_final_03.mp4",
            {"season": "2026", "team": "u18", "match": "semi_final", "camera": "03"},
        ),
        ("{season}/*/{camera}.mp4", "2026/anything/a.mp4", {"season": "2026", "camera": "a"}),
        ("{season}/{camera}", "bucket/2026/a.b.MOV", {"season": "2026", "camera": "a.b"}),
        ("cam{camera}.mp4", "s/cam7.mp4", {"camera": "7"}),
        ("cam{camera}.mp4", "s/webcam7.mp4", None),
        ("{season}/{camera}.mp4", "a.mp4", None),
        ("{a}+{b}.mp4", "x+y.mp4", {"a": "x", "b": "y"}),
    ],
)
def test_a_pattern_reads_the_end_of_a_path(pattern: str, path: str, tags: dict[str, str] | None) -> None:
    assert KeyPattern.parse(pattern).match(path) == tags


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("*.mp4", "write it like"), ("{a}/{a}", "twice"), ("{a b}", "no key"), ("{a", "write it like"), ("{}", "no key")],
)
def test_a_pattern_that_is_none_is_said(pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KeyPattern.parse(pattern)
