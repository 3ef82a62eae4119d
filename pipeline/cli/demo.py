"""`poseline demo`: from nothing to skeletons drawn on a real video."""

from __future__ import annotations

import time
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import urlsplit

import click

from pipeline.cli.console import Console, common, pass_console, this_command
from pipeline.cli.local_stack import flower_address
from pipeline.cli.outcome import print_outcome, print_rows, write_outcome
from pipeline.cli.taking_in import submit
from pipeline.cli.waiting import iter_ended
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.accounts.first_owner import demo_link

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
    [(_, run)] = iter_ended(console, [submission])
    outcome = write_outcome(console, submission, run, out, "jsonl", preview=True, picture=False)
    total_s = round(time.monotonic() - begun_at, 1)
    flower = f"http://127.0.0.1:{console.settings.flower_port}"
    pages = demo_link(console.system, TEAM, submission.video_id)
    addresses = {"pages": pages, "flower": flower, "home": str(console.home)}
    if console.print_json({**outcome.to_dict(), **addresses, "total_s": total_s}):
        return
    me, reader = this_command(console.home), console.settings.database_reader_url
    url = urlsplit((reader or console.settings.database_url).get_secret_value())
    database = f"postgresql://{url.username}@{url.hostname}:{url.port}{url.path}"
    command = f"{me} db url --read-only" if reader else f"{me} db url"
    console.print("")
    print_outcome(console, outcome)
    console.print("")
    rows = [
        ("pages", f"{pages} (signs you in, once, and shows the clip)"),
        ("database", f'{database}  (psql "$({command})")'),
        ("Flower", flower_address(console)),
    ]
    print_rows(console, rows)
    console.print(f"\nThe local stack keeps running: `{me} status` shows it, `{me} down` stops it.")
