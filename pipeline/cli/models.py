"""`poseline models`: what can find people, and where it came from."""

from __future__ import annotations

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.progress import Bar
from pipeline.inference.zoo import fetch_model, list_models


@click.group(invoke_without_command=True)
@common
@pass_console
@click.pass_context
def models(context: click.Context, console: Console) -> None:
    """List the models: where each came from, and which are on this machine."""
    if context.invoked_subcommand is not None:
        return
    states = list_models(console.models_path)
    rows = [
        {
            "name": state.name,
            "on_this_machine": state.is_here,
            "input_px": state.entry.input_side_px,
            "licence": state.entry.licence,
            "source": state.entry.source,
            "from": state.entry.origin,
        }
        for state in states
    ]
    if not console.facts(rows):
        console.table(
            ("model", "here", "input", "licence", "source"),
            [
                (s.name, "yes" if s.is_here else "no", s.entry.input_side_px, s.entry.licence, s.entry.source)
                for s in states
            ],
        )


@models.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--mirror", metavar="URL", envvar="POSELINE_MODELS_MIRROR", help="Another place that holds the publisher's files."
)
@common
@pass_console
def fetch(console: Console, names: tuple[str, ...], mirror: str | None) -> None:
    """Fetch models from their publisher, once; a later change of the weights is refused."""
    for name in names:
        with Bar(console, f"fetching {name}", None, "bytes") as bar:

            def on_progress(done: int, total: int | None, bar: Bar = bar) -> None:
                if total:
                    bar.total(total)
                bar.at(done)

            found = fetch_model(name, console.models_path, on_progress, mirror=mirror)
        if not console.facts({"name": name, "file": str(found.path), "sha256": found.spec.weights_sha256}):
            console.say(f"{name}: {found.path}")
