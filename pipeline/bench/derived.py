"""What follows from a report's other numbers: notes, the best engine's figure, a slot's memory.

Made so when it is measured, and made again when a report is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.bench.figures import Figure, ratio_figure
from pipeline.bench.goals import goal_of

SYSTEM_WORDS = "whole system, "


def note_of(name: str, details: Mapping[str, Any]) -> str | None:
    """What a figure does not say by itself, from its details; None where there is nothing."""
    make = {
        "overhead": _overhead_note,
        "scaling": _scaling_note,
        "postgres": _postgres_note,
        "people": _people_note,
        "memory": _memory_note,
    }.get(name.partition("_")[0])
    return make(details) if make else None


def _overhead_note(details: Mapping[str, Any]) -> str:
    parts = ", ".join(f"{kind} {ms:.2f}" for kind, ms in details["excess_cpu_ms"].items())
    without, servers = details["without_servers_cpu_ms"], details["servers_cpu_ms"]
    return f"{without:.2f} without the servers, {servers:.2f} in them: {parts}"


def _scaling_note(details: Mapping[str, Any]) -> str:
    two, one = details["busy_cores_two"], details["busy_cores_one"]
    return f"{two:.2f} of {details['cores']} cores busy with two, {one:.2f} with one, whose decoder works ahead of it"


def _postgres_note(details: Mapping[str, Any]) -> str:
    one = ratio_figure("", "", "", [(ours, bare) for ours, bare in details["as_one_chunk"]], None, plain="")
    return f"as one chunk {one.ours:,.0f} frames/s, {one.outcome:.2f} of one bare COPY"


def _people_note(details: Mapping[str, Any]) -> str:
    pairs = zip(details["found"], details["people"], strict=True)
    return "people found: " + ", ".join(f"{found} of {people}" for found, people in pairs)


def _memory_note(details: Mapping[str, Any]) -> str:
    process_mb = fewest_slots_mb(details["process_mb"])
    return f"{details['measure']}, decoders and all; {process_mb:.0f} MB without them"


def best_figure(full: Sequence[Figure]) -> Figure:
    """The best of the engines in fp32 against the loop, once more, with a goal of its own."""
    best = max(full, key=lambda figure: figure.outcome)
    words = f"{SYSTEM_WORDS}best engine in fp32: {best.words.removeprefix(SYSTEM_WORDS)}"
    pairs = [(ours, against) for ours, against in best.pairs if against is not None]
    return ratio_figure("system_best", words, best.unit, pairs, goal_of("system_best"), plain=best.plain)


def fewest_slots_mb(mb: Mapping[Any, float]) -> float:
    """Memory with the fewest slots; in JSON their numbers are strings."""
    return {int(slots): each for slots, each in mb.items()}[min(map(int, mb))]


def each_slot_mb(tree_mb: Mapping[Any, float]) -> tuple[float, str]:
    """Memory that each slot more takes, and between what."""
    mb = {int(slots): each for slots, each in tree_mb.items()}
    fewest, most = min(mb), max(mb)
    each_mb = (mb[most] - mb[fewest]) / max(1, most - fewest)
    return each_mb, f"{mb[fewest]:.0f} MB at {fewest}, {mb[most]:.0f} MB at {most}"
