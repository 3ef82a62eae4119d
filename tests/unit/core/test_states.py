"""The transition table is one: the README draws it, the migration holds a copy, no other code writes a state."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.core.states import TRANSITIONS, ChunkState, RunState, VideoState, is_final, sources
from tests.support.paths import ROOT


def test_every_state_has_its_row() -> None:
    for kind, table in TRANSITIONS.items():
        assert set(table) == set(kind)
        assert all(type(target) is kind for targets in table.values() for target in targets)


def test_equal_words_of_different_kinds_are_not_mixed_up() -> None:
    assert sources(RunState.QUEUED) == (RunState.WAITING,)
    assert sources(RunState.RUNNING) == (RunState.QUEUED,)
    assert sources(ChunkState.RUNNING) == (ChunkState.READY, ChunkState.QUEUED)
    assert sources(VideoState.READY) == (VideoState.STORED,)


def test_every_state_can_be_reached_and_some_end() -> None:
    first = {VideoState.UPLOADING, RunState.WAITING, ChunkState.READY}
    for table in TRANSITIONS.values():
        reached = {target for targets in table.values() for target in targets}
        assert set(table) - reached <= first
        assert any(is_final(state) for state in table)


def drawn_transitions(picture: str) -> dict[str, set[tuple[str, str]]]:
    """The pairs of a drawing such as `run:  a ─► b ─► c | d    b ─► d`."""
    found: dict[str, set[tuple[str, str]]] = {}
    for line in picture.splitlines():
        kind, _, paths = line.partition(":")
        pairs = found.setdefault(kind.strip(), set())
        for path in re.split(r"\s{3,}", paths.strip()):
            steps = [[s.strip() for s in re.sub(r"\(.*?\)", "", step).split("|")] for step in path.split("─►")]
            for here, there in pairwise(steps):
                pairs |= {(a, b) for a in here for b in there}
    return found


def test_the_readme_draws_this_table() -> None:
    picture = re.search(r"```states\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert picture is not None, "the README has no ```states drawing"
    wanted = {
        kind.__name__.removesuffix("State").lower(): {(str(a), str(b)) for a, bs in table.items() for b in bs}
        for kind, table in TRANSITIONS.items()
    }
    assert drawn_transitions(picture.group(1)) == wanted


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline").rglob("*.py")), ids=lambda p: p.name)
def test_no_code_writes_a_state_but_through_the_table(path: Path) -> None:
    if path.name == "transitions.py":
        return
    text = path.read_text()
    assert not re.search(r"SET\s+state\b", text)
    # An INSERT gives a row its first state; an UPDATE never names the column.
    assert not re.search(r"update\([a-z.]+\)[^#]*?\.values\([^)]*\bstate=", text)
