"""`poseline bench`: what Poseline does on this machine, each figure beside what it is held against and its goal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path

import click
from click.core import ParameterSource

from pipeline.bench.figures import Figure
from pipeline.bench.reading import read_reasons, read_report
from pipeline.bench.report import HEADINGS, REASONS_FILE, Report, notes, render, rows
from pipeline.bench.size import DECODE_PAIRS, DECODE_PARTS, PARTS, Size
from pipeline.bench.targets import check_target, is_same_target
from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.demo import CLIP
from pipeline.errors import UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.local import stack
from pipeline.settings import configured_by_environment


def _pairs(default: int) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option(
        "--pairs", type=click.IntRange(1, 99), default=default, show_default=True, help="A figure's median."
    )


_FILE = click.Path(path_type=Path)


@click.group(invoke_without_command=True)
@_pairs(Size.pairs)
@click.option("--seconds", type=click.FloatRange(1, 3600), default=Size.clip_s, show_default=True, help="Of video.")
@click.option("--only", "parts", type=click.Choice(PARTS), multiple=True, help="One part; may be given twice.")
@click.option("--model", default=BUNDLED_MODEL, show_default=True, help="Of one stage; see `poseline models`.")
@click.option("--out", type=_FILE, help="Write the figures and every pair here, as JSON.")
@click.option("--plot", type=_FILE, help="Draw time over people here, .svg or .png.")
@common
@pass_console
@click.pass_context
def bench(
    context: click.Context,
    console: Console,
    pairs: int,
    seconds: float,
    parts: tuple[str, ...],
    model: str,
    out: Path | None,
    plot: Path | None,
) -> None:
    """Measure this machine: the whole system, what limits it, memory, scaling, and time over people.

    Starts servers and workers of its own and leaves nothing. Takes half an hour; --only, --pairs and --seconds
    make it shorter. The machine should do nothing else meanwhile.
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in _OWN):
            raise UsageError(f"the options of `poseline bench {context.invoked_subcommand}` stand behind its name")
        return
    # They bring in OpenCV, onnxruntime and rtmlib, which no other command of this file needs.
    from pipeline.bench.every import measure  # noqa: PLC0415
    from pipeline.bench.plot import check_plot, draw_people  # noqa: PLC0415

    chosen = parts or PARTS
    if out is not None:
        check_target(out, "--out")
    if plot is not None:
        if out is not None and is_same_target(out, plot):
            raise UsageError("--out and --plot name one file; choose another for one of them")
        if "people" not in chosen:
            raise UsageError("the plot shows time over people; add `--only people`")
        check_plot(plot)
    with as_file(files("pipeline.cli").joinpath("clips", CLIP)) as clip:
        report = measure(
            console.home,
            console.models_path,
            clip=clip,
            model=model,
            parts=chosen,
            size=Size(pairs=pairs, clip_s=seconds),
            say=console.progress,
            plot=plot.name if plot else None,
        )
    # Said before anything is written: half an hour is not lost with a disk that is full.
    if not console.print_json(report.facts()):
        _say(console, report)
    wanted = ((out, report.write), (plot, partial(draw_people, report.figures)))
    _write(console, [(path, write) for path, write in wanted if path is not None])


_OWN = ("pairs", "seconds", "parts", "model", "out", "plot")


@bench.command("report")
@click.argument("file", type=_FILE)
@click.option("--reasons", type=_FILE, help=f"Why goals were missed, JSON [default: {REASONS_FILE} beside FILE]")
@click.option("--plot", type=_FILE, help="Draw time over people again, .svg or .png.")
@common
@pass_console
def report_(console: Console, file: Path, reasons: Path | None, plot: Path | None) -> None:
    """Print the README's section for the figures in FILE, as Markdown."""
    found = read_report(file)
    words = _reasons(console, found, reasons, file.with_name(REASONS_FILE))
    if plot is not None:
        from pipeline.bench.plot import draw_people  # noqa: PLC0415

        draw_people(found.figures, plot)
    if not console.print_json(found.facts()):
        click.echo(render(found, words), nl=False)


@bench.command()
@_pairs(DECODE_PAIRS)
@click.option("--only", "parts", type=click.Choice(DECODE_PARTS), multiple=True, help="One part; may be given twice.")
@common
@pass_console
def decode(console: Console, pairs: int, parts: tuple[str, ...]) -> None:
    """Measure ingest, decoding and its hand-over, and memory, against the plainest way. Takes minutes.

    Works beside a stack that runs, on test videos of its own, and leaves nothing in it.
    """
    from pipeline.bench import decode as decoding  # noqa: PLC0415

    if not configured_by_environment() and not stack.status(console.home).running:
        raise UsageError("the local stack is not running; `poseline up` starts it")
    figures = decoding.bench_decode(
        console.system, parts=parts or DECODE_PARTS, size=decoding.Size(pairs=pairs), on_step=console.progress
    )
    if not console.print_json({"pairs": pairs, "figures": [asdict(figure) for figure in figures]}):
        _table(console, figures)


def _reasons(console: Console, report: Report, named: Path | None, beside: Path) -> dict[str, str]:
    if named is not None:
        if not named.exists():
            raise UsageError(f"there is no file {named}; check --reasons")
        return read_reasons(named)
    if not beside.exists() and any(figure.met is False for figure in report.figures):
        console.progress(f"goals were missed, and there is no {beside} to say why; name another file with --reasons")
    return read_reasons(beside)


def _write(console: Console, files: Sequence[tuple[Path, Callable[[Path], object]]]) -> None:
    """Write each of them, whatever becomes of the others.

    Raises:
        UsageError: not all could be written.
    """
    failed: list[UsageError] = []
    for path, write in files:
        try:
            write(path)
        except UsageError as error:
            failed.append(error)
        else:
            console.print(f"  {path}")
    if failed:
        raise UsageError("; ".join(error.message for error in failed))


def _say(console: Console, report: Report) -> None:
    console.table(HEADINGS, rows(report.figures))
    console.print("")
    for note in notes(report.figures):
        console.print(note)
    for each in report.missing:
        console.print(f"not on this machine: {each.name} ({each.reason})")


def _table(console: Console, figures: Sequence[Figure]) -> None:
    console.table(
        ("", "poseline", "plain", "unit", "outcome", "goal", "met"),
        [
            (
                figure.words,
                _number(figure.ours),
                None if figure.against is None else _number(figure.against),
                figure.unit,
                _number(figure.outcome),
                figure.goal or "none",
                {True: "yes", False: "no", None: ""}[figure.met],
            )
            for figure in figures
        ],
    )


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
