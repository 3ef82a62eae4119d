"""What came of it: as JSON that is kept (see `reading`), and from that as the README's section."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.bench.figures import Figure, NotHere
from pipeline.bench.targets import written_whole

SCHEMA = 1
#: Beside the JSON, written by a person: why a goal was missed, by figure; see `reason_of`.
REASONS_FILE = "bench-reasons.json"
NO_REASON = "no reason has been written down yet"
HEADINGS = ("", "Poseline", "against", "ratio", "goal", "met")


@dataclass(frozen=True)
class Report:
    """Everything that was measured in one go, and on what.

    Args:
        machine: from `machine_facts`.
        clip: what was taken through.
        model: in fp32.
        pairs: of which each figure is the median.
        missing: engines that are not on this machine.
        plot: the picture's file name, beside the JSON; None where none was made.
    """

    machine: Mapping[str, Any]
    clip: Mapping[str, Any]
    model: str
    pairs: int
    figures: tuple[Figure, ...]
    missing: tuple[NotHere, ...] = ()
    plot: str | None = None

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {"schema": SCHEMA, **asdict(self)}

    def write(self, path: Path) -> None:
        """Write the JSON, whole or not at all.

        Raises:
            UsageError: it cannot be written.
        """
        with written_whole(path, "--out") as part:
            part.write_text(json.dumps(self.facts(), indent=1) + "\n")


def reason_of(figure: Figure, reasons: Mapping[str, str]) -> str | None:
    """By its name, or by the part of it that all engines share: `overhead_cpu`, else `overhead`."""
    return reasons.get(figure.name) or reasons.get(figure.name.partition("_")[0])


def rows(figures: Sequence[Figure]) -> list[tuple[str, str, str, str, str, str]]:
    """The table, as `HEADINGS`."""
    return [
        (
            figure.words,
            _amount(figure.ours, figure.unit),
            "" if figure.against is None else f"{_amount(figure.against, figure.unit)}, {figure.plain}",
            "" if figure.against is None else f"{figure.outcome:.2f}",
            figure.goal or "",
            {True: "yes", False: "no", None: ""}[figure.met],
        )
        for figure in figures
    ]


def notes(figures: Sequence[Figure]) -> list[str]:
    """What a figure does not say by itself."""
    return [f"{figure.words}: {figure.details['note']}." for figure in figures if "note" in figure.details]


def render(report: Report, reasons: Mapping[str, str], folder: str = "docs") -> str:
    """The README's section in Markdown.

    Args:
        folder: where the picture is, from the README.
    """
    lines = [_where(report), ""]
    if report.plot:
        lines += [f"![Time of a frame over the number of people in it]({folder}/{report.plot})", ""]
    why = _numbered(report.figures, reasons)
    lines += [_row(("what", *HEADINGS[1:])), _row(["---"] * len(HEADINGS))]
    for figure, cells in zip(report.figures, rows(report.figures), strict=True):
        mark = f" ({why[reason_of(figure, reasons) or NO_REASON]})" if figure.met is False else ""
        lines.append(_row([*cells[:-1], cells[-1] + mark]))
    if why:
        lines += ["", "Goals that were missed, and why:", ""]
        lines += [f"{number}. {_sentence(reason)}" for reason, number in why.items()]
    if report.missing:
        here = "; ".join(f"{each.name} ({each.reason.partition('; ')[0]})" for each in report.missing)
        lines += ["", f"Not on this machine: {here}."]
    said = notes(report.figures)
    if said:
        lines += ["", "<details><summary>More of each figure</summary>", "", *(f"- {note}" for note in said)]
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _numbered(figures: Sequence[Figure], reasons: Mapping[str, str]) -> dict[str, int]:
    """Each reason for a goal that was missed, once, in the order of the table, from 1."""
    found = dict.fromkeys(reason_of(figure, reasons) or NO_REASON for figure in figures if figure.met is False)
    return {reason: number for number, reason in enumerate(found, 1)}


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


def _where(report: Report) -> str:
    machine, clip = report.machine, report.clip
    versions = ", ".join(
        f"{title} {machine[name]}"
        for name, title in (("poseline", "Poseline"), ("onnxruntime", "onnxruntime"), ("openvino", "OpenVINO"))
        if machine.get(name)
    )
    return (
        f"Measured on {machine['date']} on {machine['cpu']} with {machine['cores']} cores "
        f"({versions}, Python {machine['python']}; load average before {machine['load_average_before'][0]:.2f}), "
        f"on {clip['seconds']:.0f} s of {clip['width']} x {clip['height']} {clip['codec']} with `{report.model}`. "
        f"Each figure is the median of pairs taken in one go ({report.pairs} of them for the whole system)."
    )


def _amount(value: float, unit: str) -> str:
    number = f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{number} {unit}".strip()


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
