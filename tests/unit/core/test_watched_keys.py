"""What keys of a watched bucket mean, and in which order a store lists."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.core.key_pattern import KeyPattern
from pipeline.core.video_names import numbered_name
from pipeline.core.watched_keys import KeyOrder, ListedObject, order_of, read_key

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "key", "team", "name", "tags"),
    [
        ("{team}/{season}/{name}", "in/u18/2026/a.mp4", "u18", "a.mp4", {"season": "2026"}),
        ("{team}/{season}/{name}.mp4", "in/u18/2026/a.mp4", "u18", "a.mp4", {"season": "2026"}),
        ("{match}/cam{camera}", "in/final/cam03.MOV", None, "cam03.MOV", {"match": "final", "camera": "03"}),
        ("{name}/cam{camera}", "in/final/cam03.mov", None, "final.mov", {"camera": "03"}),
        ("{team}/*/{name}", "in/u18/anything/a.b.mp4", "u18", "a.b.mp4", {}),
    ],
)
def test_a_key_gives_team_name_and_tags(
    pattern: str, key: str, team: str | None, name: str, tags: dict[str, str]
) -> None:
    meaning = read_key(ListedObject(key, 1, "e", NOW), "in/", KeyPattern.parse(pattern), in_own_bucket=False)
    assert (meaning.outcome, meaning.team, meaning.name, meaning.tags) == (None, team, name, tags)


def test_a_pattern_is_for_the_whole_key_below_the_prefix() -> None:
    """Else who may write below u18/ could put videos into another team."""
    pattern = KeyPattern.parse("{team}/{season}/{name}")
    found = read_key(ListedObject("in/u18/x/u16/2026/a.mp4", 1, "e", NOW), "in/", pattern, in_own_bucket=False)
    assert found.outcome == "unfit"


@pytest.mark.parametrize(
    ("key", "size_bytes", "storage_class", "outcome"),
    [
        ("in/u18/", 0, "STANDARD", "folder"),
        ("in/u18/a.txt", 1, "STANDARD", "no_video"),
        ("in/u18/._a.mp4", 1, "STANDARD", "no_video"),
        ("in/u18/a.mp4", 0, "STANDARD", "empty"),
        ("in/u18/a.mp4", 1, "GLACIER", "archived"),
        ("in/" + "x" * 300 + "/a.mp4", 1, "STANDARD", "unfit"),
        ("models/a.mp4", 1, "STANDARD", "own"),
        ("in//..//../teams/a.mp4", 1, "STANDARD", "own"),
    ],
)
def test_what_is_no_video_says_why(key: str, size_bytes: int, storage_class: str, outcome: str) -> None:
    found = ListedObject(key, size_bytes, "e", NOW, storage_class)
    meaning = read_key(found, "in/", KeyPattern.parse("{season}/{name}"), in_own_bucket=True)
    assert meaning.outcome == outcome
    assert bool(meaning.why) is (outcome not in {"folder", "own"})


@pytest.mark.parametrize(
    ("keys", "after", "expected", "order"),
    [
        (["a-b", "a/b"], "", "bytes", "bytes"),
        (["a/b", "a-b"], "", "bytes", "folders"),
        (["a/b", "a-b"], "", "folders", "folders"),
        (["a", "b"], "", "folders", "folders"),
        (["b"], "c", "bytes", "none"),
        (["a-b", "a/b"], "", "folders", "bytes"),
        (["b", "a"], "", "none", "none"),
        ([], "", "bytes", "bytes"),
        (["\uffee", "\U0001f600"], "", "bytes", "bytes"),
    ],
)
def test_the_order_of_a_store_is_found_out(keys: list[str], after: str, expected: KeyOrder, order: KeyOrder) -> None:
    assert order_of(keys, after, expected) == order


def test_versions_of_one_object_are_numbered() -> None:
    assert [numbered_name("cam.v1.mp4", number) for number in (1, 2, 3)] == [
        "cam.v1.mp4",
        "cam.v1 (2).mp4",
        "cam.v1 (3).mp4",
    ]
