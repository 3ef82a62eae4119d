"""A report as Markdown: `docs/benchmarks.md` in full, and three rows for the README."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.bench.figures import Figure, Unavailable
from pipeline.bench.report import HEADINGS, SCHEMA, Report, notes, table_rows
from tests.support.paths import ROOT

REPORT = ROOT / "docs" / "bench.json"
#: Written by a person: why goals were missed, by figure; see `reason_of`.
REASONS = ROOT / "docs" / "bench-reasons.json"
PICTURE = ROOT / "docs" / "bench-people.svg"
PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- bench:begin -->\n", "<!-- bench:end -->"
NO_REASON = "no reason has been written down yet"
_README_FIGURES = ("system_cpu", "system_openvino-bf16", "first_pose")


def read_report(path: Path = REPORT) -> Report:
    """Read what `Report.write` wrote.

    Raises:
        ValueError: it has another schema.
    """
    content = json.loads(path.read_text())
    if content.pop("schema") != SCHEMA:
        raise ValueError(f"{path} does not have schema {SCHEMA}")
    figures = tuple(Figure(**{**each, "pairs": tuple(map(tuple, each["pairs"]))}) for each in content.pop("figures"))
    unavailable = tuple(Unavailable(**each) for each in content.pop("unavailable"))
    return Report(**content, figures=figures, unavailable=unavailable)


def read_reasons(path: Path = REASONS) -> dict[str, str]:
    """Why goals were missed, by figure; empty where there is no such file."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def reason_of(figure: Figure, reasons: Mapping[str, str]) -> str:
    """By the figure's name, or by the part of it that all engines share: `overhead_cpu`, else `overhead`."""
    return reasons.get(figure.name) or reasons.get(figure.name.partition("_")[0]) or NO_REASON


def render_page(report: Report, reasons: Mapping[str, str]) -> str:
    """`docs/benchmarks.md`."""
    lines = ["# Benchmarks", "", "Written by `make bench`, from [bench.json](bench.json).", "", _where(report), ""]
    if any(figure.name == "people" for figure in report.figures):
        lines += [f"![Time per frame over the number of people in it]({PICTURE.name})", ""]
    missed = [figure for figure in report.figures if figure.met is False]
    numbers = {reason: at for at, reason in enumerate(dict.fromkeys(reason_of(each, reasons) for each in missed), 1)}
    lines += _table_head()
    for figure, cells in zip(report.figures, table_rows(report.figures), strict=True):
        mark = f" ({numbers[reason_of(figure, reasons)]})" if figure.met is False else ""
        lines.append(_row([*cells[:-1], cells[-1] + mark]))
    if numbers:
        lines += ["", "Why goals were missed:", ""]
        lines += [f"{number}. {reason[:1].upper()}{reason[1:]}" for reason, number in numbers.items()]
    if report.unavailable:
        each = "; ".join(f"{each.name} ({each.reason.partition('; ')[0]})" for each in report.unavailable)
        lines += ["", f"Not on this machine: {each}."]
    lines += ["", "More about each figure:", "", *(f"- {note}" for note in notes(report.figures))]
    return "\n".join(lines) + "\n"


def render_readme(report: Report) -> str:
    """The README's section between its markers."""
    machine = report.machine
    chosen = [figure for figure in report.figures if figure.name in _README_FIGURES]
    rows = [_row(cells) for cells in table_rows(chosen)]
    where = f"On {machine['cpu']} with {machine['cores']} cores, {machine['date']}, with `{report.model}` at "
    where += f"{report.clip['width']} x {report.clip['height']}:"
    return "\n".join([where, "", *_table_head(), *rows]) + "\n"


def write_pages(report: Report) -> None:
    """Write `docs/benchmarks.md` and the README's section."""
    PAGE.write_text(render_page(report, read_reasons()))
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN + render_readme(report) + END + rest.partition(END)[2])


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
        f"Each figure is the median of pairs taken in one run ({report.pairs} of them for the whole system)."
    )


def _table_head() -> list[str]:
    return [_row(("what", *HEADINGS[1:])), _row(["---"] * len(HEADINGS))]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
