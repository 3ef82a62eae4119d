"""`poseline models`: which models there are, and which one to choose."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby

from pipeline.cli.console import Console
from pipeline.inference.guide import GUIDES
from pipeline.inference.speeds import Speed, read_speeds
from pipeline.inference.zoo import ModelState, list_models
from pipeline.services.model_facts import last_speed, model_facts

#: Headings of the list by (stages, keypoints). Models under one heading are measured by their publishers alike.
_HEADINGS = {
    (1, 17): "Bodies, 17 keypoints. All people are found at once: many take no longer than one.",
    (2, 17): "Bodies, 17 keypoints. People are found first, then posed one by one: each further one takes longer.",
    (2, 26): "Bodies with feet, 26 keypoints. People are posed one by one.",
    (2, 133): "Bodies with feet, face and fingers, 133 keypoints. People are posed one by one.",
    (2, 21): "Hands, 21 keypoints. Hands are posed one by one.",
}
_LEAST_ROOM = 30


def print_models(console: Console) -> None:
    """Print every known model."""
    measured = read_speeds(console.models_path)
    states = list_models(console.models_path)
    if not console.print_json([model_facts(state, measured) for state in states]):
        for line in list_lines(states, measured, console.out.width):
            console.print(line)
        if console.login is not None:
            origin = console.login.origin
            for line in textwrap.wrap(
                f"These are this machine's; {origin} analyses with its own, which its page for uploads lists.",
                console.out.width,
            ):
                console.print(line)


def list_lines(states: Sequence[ModelState], measured: Sequence[Speed], width: int) -> list[str]:
    """The list as lines of at most `width` characters, headings and notes included."""
    lines: list[str] = []
    ordered = sorted(states, key=lambda state: list(_HEADINGS).index(_kind(state)))
    for kind, group in groupby(ordered, key=_kind):
        rows = [_cells(state, measured) for state in group]
        figures = [GUIDES[name].figures for name, *_ in rows]
        measure = next((each[0].benchmark.measure for each in figures if each), "")
        lines += [
            *textwrap.wrap(_HEADINGS[kind], width),
            *_columns(("model", "size", "ms/frame", "frames/s", measure, "for"), width),
        ]
        lines += [line for row in rows for line in _columns(row, width)]
        lines.append("")
    for note in _notes(states, measured):
        lines += textwrap.wrap(note, width)
    return lines


def _kind(state: ModelState) -> tuple[int, int]:
    return len(state.entry.weights), len(state.entry.keypoints.names)


def _cells(state: ModelState, measured: Sequence[Speed]) -> tuple[str, ...]:
    guide = GUIDES[state.name]
    speed = last_speed(state, measured)
    return (
        state.name,
        megabytes(sum(state.weights_bytes.values())) if state.is_local else "not here",
        number(speed.frame_ms) if speed else "-",
        number(speed.frames_per_s) if speed else "-",
        f"{guide.figures[0].value:.1f}" if guide.figures else "-",
        guide.for_whom,
    )


def _columns(cells: tuple[str, ...], width: int) -> list[str]:
    name, *numbers, text = cells
    left = f"  {name:<21}" + "".join(f"  {cell:>8}" for cell in numbers) + "  "
    if width - len(left) < _LEAST_ROOM:
        return [left.rstrip(), *textwrap.wrap(text, width, initial_indent=" " * 4, subsequent_indent=" " * 4)]
    return textwrap.wrap(text, width, initial_indent=left, subsequent_indent=" " * len(left))


def _notes(states: Sequence[ModelState], measured: Sequence[Speed]) -> list[str]:
    listed = [(state, speed) for state in states if (speed := last_speed(state, measured))]
    devices = sorted({speed.device for _, speed in listed})
    notes = []
    if listed:
        notes.append(f"Speeds: {' and '.join(devices)}, one slot alone, without reading the video.")
    people = [number(speed.people_per_frame) for state, speed in listed if len(state.entry.weights) > 1]
    if people:
        notes.append(f"Speeds where people are posed one by one: with {_range(people)} a frame; more take longer.")
    if any(state.is_local and not last_speed(state, measured) for state in states):
        notes.append("`poseline models check` measures the speed of the models that are here.")
    notes += [
        "Accuracy: percent, as published; compare within one table. A dash: not known or not measured.",
        "`poseline models show NAME` says on which data; `poseline models fetch NAME` downloads a model.",
    ]
    return notes


def _range(numbers: Sequence[str]) -> str:
    ordered = sorted(set(numbers), key=float)
    return f"{ordered[0]} people" if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]} people"


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:.1f} MB"


def number(value: float) -> str:
    """A measured value for people: two digits, or all before the point."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
