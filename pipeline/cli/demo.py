"""`poseline demo`: from nothing to skeletons drawn on a real video."""

from __future__ import annotations

import time
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import urlsplit

import click

from pipeline.cli.analyze import submit, wait_for
from pipeline.cli.console import Console, common, pass_console, this_command
from pipeline.cli.formatting import summary_line
from pipeline.cli.local_stack import flower_address
from pipeline.cli.progress import Bar
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.export import export_run
from pipeline.services.preview import preview_run
from pipeline.services.runs import to_dict

CLIP = "demo.mp4"
TEAM = "demo"


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("poseline-out"), show_default=True
)
@common
@pass_console
def demo(console: Console, out: Path) -> None:
    """Start the local stack, analyse the bundled clip, and print where the results are."""
    begun_at = time.monotonic()
    console.ensure_stack()
    with as_file(files("pipeline.cli").joinpath("clips", CLIP)) as clip:
        submission = submit(console, str(clip), TEAM, BUNDLED_MODEL)
    run = wait_for(console, submission)
    poses, video, sheet = (out / f"demo.{ending}" for ending in ("jsonl", "mp4", "png"))
    export_run(console.system, run.id, poses, "jsonl", team=TEAM)
    with Bar(console, "drawing skeletons", None) as bar:
        preview_run(console.system, run.id, video, team=TEAM, progress=bar)
    preview_run(console.system, run.id, sheet, team=TEAM)
    settings = console.settings
    where = {
        "poses": str(poses),
        "video": str(video),
        "sheet": str(sheet),
        "flower": f"http://127.0.0.1:{settings.flower_port}",
        "home": str(console.home),
        "total_seconds": round(time.monotonic() - begun_at, 1),
    }
    if console.print_json({**to_dict(run), **where}):
        return
    me, reader = this_command(console.home), settings.database_reader_url
    url = urlsplit((reader or settings.database_url).get_secret_value())
    command = f"{me} db url --read-only" if reader else f"{me} db url"
    console.print(f"\n{summary_line(run)}\n")
    console.print(f"  poses          {poses}")
    console.print(f"  video          {video}")
    console.print(f"  contact sheet  {sheet}")
    console.print(
        f'  database       postgresql://{url.username}@{url.hostname}:{url.port}{url.path}  (psql "$({command})")'
    )
    console.print(f"  Flower         {flower_address(console)}\n")
    console.print(f"The local stack keeps running: `{me} status` shows it, `{me} down` stops it.")
