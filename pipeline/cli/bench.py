"""`poseline bench decode`: what decoding costs on this machine."""

from __future__ import annotations

from dataclasses import asdict

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.errors import UsageError
from pipeline.local import stack
from pipeline.services.bench import PARTS, Figure, Size, bench_decode
from pipeline.settings import configured_by_environment


@click.group()
def bench() -> None:
    """Measure this machine."""


@bench.command()
@click.option("--pairs", type=click.IntRange(1, 99), default=Size.pairs, show_default=True, help="A figure's median.")
@click.option("--only", "parts", type=click.Choice(PARTS), multiple=True, help="One part; may be given twice.")
@common
@pass_console
def decode(console: Console, pairs: int, parts: tuple[str, ...]) -> None:
    """Measure ingest, decoding and its hand-over, and memory, against the plainest way. Takes minutes.

    Works beside a stack that runs, on test videos of its own, and leaves nothing in it.
    """
    if not configured_by_environment() and not stack.status(console.home).running:
        raise UsageError("the local stack is not running; `poseline up` starts it")
    figures = bench_decode(console.system, parts=parts or PARTS, size=Size(pairs=pairs), on_step=console.step)
    if console.facts({"pairs": pairs, "figures": [asdict(figure) for figure in figures]}):
        return
    console.table(
        ("", "poseline", "plain", "unit", "outcome", "goal", "met"),
        [
            (
                figure.words,
                _number(figure.ours),
                None if figure.against is None else _number(figure.against),
                figure.unit,
                _outcome(figure),
                figure.goal or "none",
                {True: "yes", False: "no", None: ""}[figure.met],
            )
            for figure in figures
        ],
    )


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _outcome(figure: Figure) -> str:
    return f"{_number(figure.outcome)}" if figure.outcome >= 0 else f"-{_number(-figure.outcome)}"
