"""`poseline models`: list, show, check and fetch models."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.models_check import check
from pipeline.cli.models_list import print_models
from pipeline.cli.models_show import show
from pipeline.cli.progress import Bar
from pipeline.inference.catalogue import Weights
from pipeline.inference.weights.checksums import CHECKSUMS_FILE
from pipeline.inference.weights.fetcher import FetchedFile, Fetcher, needed_weights
from pipeline.inference.weights.sources import PUBLISHER, find_source, mirror_source
from pipeline.inference.zoo import FoundModel, find_model


@click.group(invoke_without_command=True)
@common
@pass_console
@click.pass_context
def models(context: click.Context, console: Console) -> None:
    """List the models: for whom each is, its size and speed on this machine, its published accuracy."""
    if context.invoked_subcommand is not None:
        return
    print_models(console)


@models.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--from",
    "source",
    metavar="SOURCE",
    help="A folder of files copied from elsewhere, one such file, or an https address of either.",
)
@click.option(
    "--mirror", metavar="URL", envvar="POSELINE_MODELS_MIRROR", help="A server that mirrors the publisher's files."
)
@click.option(
    "--pins",
    "pins_path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="POSELINE_MODELS_PINS",
    help="A JSON file of trusted SHA-256s, to commit: other weights are refused, new ones are added.",
)
@common
@pass_console
def fetch(
    console: Console, names: tuple[str, ...], source: str | None, mirror: str | None, pins_path: Path | None
) -> None:
    """Fetch models once; weights that changed since are refused.

    An interrupted download is resumed.
    """
    wanted = needed_weights(names)
    origin = find_source(source, wanted) if source else mirror_source(mirror) if mirror else PUBLISHER
    fetcher = Fetcher(console.models_path, origin, pins_path, console.progress)
    try:
        files = [_fetch_one(console, fetcher, weights) for weights in wanted]
    except KeyboardInterrupt:
        kept_bytes = fetcher.resumable_bytes(wanted)
        if kept_bytes:
            console.progress(f"{kept_bytes / 1e6:.1f} MB are kept; the same command resumes the download")
        raise
    rows = [_row(name, find_model(name, console.models_path)) for name in names]
    if not console.print_json(rows):
        for row in rows:
            console.print(f"{row['name']}: {', '.join(file['path'] for file in row['files'])}")
        _say_pinned(console, CHECKSUMS_FILE, [file for file in files if file.is_first])
        _say_pinned(console, f"{pins_path}; commit it", [file for file in files if file.is_pinned_now])


def _fetch_one(console: Console, fetcher: Fetcher, weights: Weights) -> FetchedFile:
    with ExitStack() as stack:
        bars: list[Bar] = []

        def on_progress(done: int, total: int | None) -> None:
            if not bars:  # no bar for files that are here already
                bars.append(stack.enter_context(Bar(console, f"fetching {weights.name}", total, "bytes")))
            if total:
                bars[0].total(total)
            bars[0].at(done)

        return fetcher.fetch(weights, on_progress)


def _row(name: str, found: FoundModel) -> dict[str, Any]:
    files = [
        {"name": path.stem, "path": str(path), "sha256": sha256, "bytes": path.stat().st_size}
        for sha256, path in found.paths.items()
    ]
    return {"name": name, "files": files}


def _say_pinned(console: Console, where: str, files: list[FetchedFile]) -> None:
    if files:
        console.print(f"pinned {', '.join(f'{file.name} ({file.sha256[:12]})' for file in files)} in {where}")


models.add_command(check)
models.add_command(show)
