"""`poseline bench`: how fast Poseline is on this machine, each figure beside a baseline and its goal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path

import click
from click.core import ParameterSource

from pipeline.bench.figures import Figure, Size
from pipeline.bench.report import HEADINGS, check_writable, notes, table_rows
from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.demo import CLIP
from pipeline.errors import UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL, find_entry

PART_NAMES = ("end-to-end", "scaling", "postgres", "first-pose", "memory")
_DECODE_PAIRS = 5


def _pairs(default: int) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option(
        "--pairs", type=click.IntRange(1, 99), default=default, show_default=True, help="Measurements per figure."
    )


@click.group(invoke_without_command=True)
@_pairs(Size.pairs)
@click.option("--seconds", type=click.FloatRange(1, 3600), default=Size.clip_s, show_default=True, help="Of video.")
@click.option("--only", "parts", type=click.Choice(PART_NAMES), multiple=True, help="One part; may be given twice.")
@click.option("--model", default=BUNDLED_MODEL, show_default=True, help="With one stage; see `poseline models`.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the figures and every pair here, as JSON.")
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
) -> None:
    """Measure this machine: the whole system against rtmlib alone, what limits it, scaling, rows, and memory.

    Starts servers and workers of its own and leaves nothing behind. Takes half an hour; --only, --pairs and --seconds
    make it shorter. The machine should do nothing else meanwhile.
    """
    if context.invoked_subcommand is not None:
        own = ("pairs", "seconds", "parts", "model", "out")
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in own):
            raise UsageError(f"put the options of `poseline bench {context.invoked_subcommand}` after its name")
        return
    if out is not None:
        check_writable(out)
    # It imports OpenCV and onnxruntime, which the help does not need.
    from pipeline.bench.runner import PARTS, run_benchmark  # noqa: PLC0415

    with as_file(files("pipeline.cli").joinpath("clips", CLIP)) as clip:
        report = run_benchmark(
            console.home,
            console.models_path,
            clip=clip,
            model=model,
            parts={name: PARTS[name] for name in PARTS if not parts or name in parts},
            size=Size(pairs=pairs, clip_s=seconds),
            on_step=console.progress,
        )
    # Printed before anything is written, so that a full disk does not lose half an hour.
    if not console.print_json(report.to_dict()):
        _print_table(console, report.figures)
        for each in report.unavailable:
            console.print(f"not on this machine: {each.name} ({each.reason})")
    if out is not None:
        report.write(out)
        console.print(f"  {out}")


@bench.command()
@_pairs(_DECODE_PAIRS)
@common
@pass_console
def decode(console: Console, pairs: int) -> None:
    """Measure the sandboxed decoder against one plain process, on the demo clip. Needs no servers."""
    from pipeline.bench.decode import measure_decode  # noqa: PLC0415
    from pipeline.core.video_limits import VideoLimits  # noqa: PLC0415

    with as_file(files("pipeline.cli").joinpath("clips", CLIP)) as clip:
        figures = measure_decode(
            clip,
            VideoLimits(max_pixels=8192 * 4320, max_frames=1_000_000, stall_s=60.0),
            side_px=find_entry(BUNDLED_MODEL).pose.width_px,
            pairs=pairs,
            on_step=console.progress,
        )
    if not console.print_json({"pairs": pairs, "figures": [asdict(figure) for figure in figures]}):
        _print_table(console, figures)


def _print_table(console: Console, figures: Sequence[Figure]) -> None:
    console.table(HEADINGS, table_rows(figures))
    console.print("")
    for note in notes(figures):
        console.print(note)


@bench.command("live")
@click.option(
    "--sessions", type=click.IntRange(1, 64), multiple=True, help="At once; repeatable.  [default: 1, 2, 4 and 8]"
)
@click.option("--seconds", type=click.FloatRange(1, 3600), default=15.0, show_default=True, help="Of each measurement.")
@click.option(
    "--round-trip-ms", type=click.FloatRange(0, 5000), default=20.0, show_default=True, help="Of the network."
)
@click.option("--mbit", type=click.FloatRange(0.1, 100_000), default=10.0, show_default=True, help="Of a session.")
@click.option("--loopback", is_flag=True, help="Without such a network.")
@click.option("--model", default=BUNDLED_MODEL, show_default=True, help="With one stage; see `poseline models`.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the figures here, as JSON.")
@common
@pass_console
def bench_live(
    console: Console,
    sessions: tuple[int, ...],
    seconds: float,
    round_trip_ms: float,
    mbit: float,
    loopback: bool,
    model: str,
    out: Path | None,
) -> None:
    """Measure what each step of a live frame takes, for 1, 2, 4 and 8 sessions at once, by each engine.

    Starts servers of its own and leaves nothing behind. Cameras of 640 x 360 at 30 frames/s send H.264 over a network
    that delays and narrows as a home's line does. They run on this machine, too, which should do nothing else then.
    """
    if out is not None:
        check_writable(out)
    from pipeline.bench.live import SESSIONS, live_headings, live_rows, run_live_benchmark  # noqa: PLC0415
    from pipeline.bench.slow_network import Network  # noqa: PLC0415

    with as_file(files("pipeline.cli").joinpath("clips", CLIP)) as clip:
        report = run_live_benchmark(
            console.home,
            console.models_path,
            clip=clip,
            model=model,
            sessions=sessions or SESSIONS,
            seconds=seconds,
            network=None if loopback else Network(round_trip_ms, mbit),
            on_step=console.progress,
        )
    if not console.print_json(report.to_dict()):
        console.table(live_headings(), live_rows(report.figures))
        console.print("")
        console.print(f"network: {report.network}; load average of the machine before: {report.load}")
        for each in report.unavailable:
            console.print(f"not on this machine: {each.name} ({each.reason})")
    if out is not None:
        report.write(out)
        console.print(f"  {out}")
