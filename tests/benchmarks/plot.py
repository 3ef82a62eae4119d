"""The picture of time over people: readable on light and dark pages, and the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.figure

from pipeline.bench.figures import Figure, goal_of

_PAPER, _INK, _SOFT, _LINE = "#fbfaf7", "#22262e", "#6b7280", "#e4e2dc"
_ONE, _TWO = "#0f7b6c", "#c8553d"
_SIZE_IN = (8.0, 4.5)
_RC = {
    "svg.hashsalt": "poseline",  # so that ids do not change between runs
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 11,
}


def draw_people(figures: Sequence[Figure], path: Path) -> Path:
    """Draw the curves that `measure_people` found as an SVG."""
    curves = {figure.name: figure.details for figure in figures if "ms" in figure.details}
    one, two = curves["people"], curves["people_two_stage"]
    with matplotlib.rc_context(_RC):
        figure = matplotlib.figure.Figure(figsize=_SIZE_IN, facecolor=_PAPER)
        axes = figure.add_axes((0.09, 0.14, 0.87, 0.66), facecolor=_PAPER)
        _dress(axes, [*one["people"]], max(*one["ms"], *two["ms"]))
        _curve(axes, two, _TWO, 9)
        _curve(axes, one, _ONE, -18)
        _label(axes, two, _TWO, "two stages", -1)
        _label(axes, one, _ONE, "one stage", 1)
        figure.text(0.03, 0.935, _title(one), color=_INK, fontsize=14, fontweight="bold")
        figure.text(0.03, 0.875, _subtitle(one, two), color=_SOFT, fontsize=10)
        # Without date and version the picture depends on the figures alone.
        figure.savefig(path, format="svg", facecolor=_PAPER, metadata={"Date": None, "Creator": None})
    return path


def _title(one: Mapping[str, Any]) -> str:
    goal = goal_of("people")
    if goal is not None and goal.is_met(one["ms"][-1] / one["ms"][0]):
        return "One stage takes the same time however many people there are"
    return "Time of a frame over the number of people in it"


def _subtitle(one: Mapping[str, Any], two: Mapping[str, Any]) -> str:
    kind = f"a {two['title']}" if two["is_stand_in"] else two["title"]
    return f"{one['title']} beside {kind}"


def _dress(axes: Any, people: Sequence[int], most_ms: float) -> None:
    axes.set_xlim(0, max(people) * 1.04)
    axes.set_ylim(0, most_ms * 1.12)
    axes.set_xticks(people)
    axes.set_xlabel("people in the frame", color=_SOFT, labelpad=8)
    axes.set_ylabel("ms per frame on one core", color=_SOFT, labelpad=8)
    axes.tick_params(colors=_SOFT, length=0)
    axes.grid(axis="y", color=_LINE, linewidth=1)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_LINE)


def _curve(axes: Any, curve: Mapping[str, Any], colour: str, numbers_at: int) -> None:
    style = (0, (5, 2)) if curve["is_stand_in"] else "-"
    axes.plot(curve["people"], curve["ms"], color=colour, linewidth=2.6, linestyle=style, zorder=3)
    axes.plot(
        curve["people"],
        curve["ms"],
        linestyle="none",
        marker="o",
        markersize=7,
        color=colour,
        markeredgecolor=_PAPER,
        markeredgewidth=1.6,
        zorder=4,
    )
    for people, ms in zip(curve["people"], curve["ms"], strict=True):
        axes.annotate(
            f"{ms:.0f}",
            (people, ms),
            xytext=(0, numbers_at),
            textcoords="offset points",
            ha="center",
            color=colour,
            fontsize=10,
            fontweight="bold",
        )


def _label(axes: Any, curve: Mapping[str, Any], colour: str, text: str, side: int) -> None:
    """Beside the curve, between its last two points, so that no legend is needed."""
    (x1, x2), (y1, y2) = curve["people"][-2:], curve["ms"][-2:]
    kind = " (stand-in)" if curve["is_stand_in"] else ""
    axes.annotate(
        text + kind,
        ((x1 + x2) / 2, (y1 + y2) / 2),
        xytext=(0, 9) if side > 0 else (-12, 10),
        textcoords="offset points",
        ha="center" if side > 0 else "right",
        color=colour,
        fontsize=12,
        fontweight="bold",
    )
