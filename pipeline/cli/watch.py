"""`poseline watch`: take in the videos that other tools put into a bucket."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.durations import Seconds
from pipeline.cli.progress import Steps
from pipeline.cli.watch_lines import status_lines
from pipeline.db.watches import WatchRow
from pipeline.errors import NotFound
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.upload_steps import printable
from pipeline.services.watch import manage
from pipeline.services.watch.manage import short_watch_id
from pipeline.services.watch.status import watch_status


@click.group(invoke_without_command=True)
@common
@pass_console
@click.pass_context
def watch(context: click.Context, console: Console) -> None:
    """Take in the videos that other tools put into a bucket, by themselves. Alone, as `watch list`."""
    if context.invoked_subcommand is None:
        _print_watches(console)


@watch.command("add")
@click.argument("location", metavar="s3://BUCKET/PREFIX/")
@click.option(
    "--pattern",
    required=True,
    metavar="PATTERN",
    help="Of the keys below the prefix: '{team}/{season}/{name}'. {team} is the team, {name} the video's name, every "
    "other part a tag.",
)
@click.option("--team", help="Whose videos they are, where the pattern does not name the team [default: default]")
@click.option("--model", default=BUNDLED_MODEL, show_default=True, help="See `poseline models`.")
@click.option(
    "--settle",
    "settle_s",
    type=Seconds(),
    default="60s",
    show_default=True,
    help="How long an object has to be the same before it is taken in.",
)
@click.option(
    "--every", "every_s", type=Seconds(), default="60s", show_default=True, help="Pause between two listings."
)
@common
@pass_console
def add(
    console: Console, location: str, pattern: str, team: str | None, model: str, settle_s: float, every_s: float
) -> None:
    """Watch a prefix of a bucket: every video in it, and every one that comes, is taken in once and analysed."""
    added = manage.add_watch(
        console.system,
        location,
        pattern,
        model,
        team=team,
        settle_s=settle_s,
        every_s=every_s,
        progress=Steps(console),
    )
    if not console.print_json(manage.to_dict(added)):
        console.print(
            f"watching {added.location} as {short_watch_id(added)}; `poseline watch status` shows how far it is"
        )


@watch.command("list")
@click.option("--team", help="Those whose videos are all of this team.")
@common
@pass_console
def list_(console: Console, team: str | None) -> None:
    """List what is watched."""
    _print_watches(console, team)


@watch.command("remove")
@click.argument("name", metavar="WATCH")
@common
@pass_console
def remove(console: Console, name: str) -> None:
    """Watch a prefix no longer, named by its id or location. What was taken in stays."""
    removed = manage.remove_watch(console.system, name)
    if not console.print_json(manage.to_dict(removed)):
        console.print(f"{removed.location} {removed.pattern} is not watched any more; its videos stay")


@watch.command("status")
@click.argument("name", metavar="[WATCH]", required=False)
@common
@pass_console
def status(console: Console, name: str | None) -> None:
    """Show how far each listing is, what was taken in, what was not and why."""
    found = watch_status(console.system, name)
    if console.print_json([each.to_dict() for each in found]):
        return
    if not found:
        console.print("nothing is watched; `poseline watch add` begins")
    for each in found:
        for line in status_lines(each):
            console.print(line)


@watch.command("hint")
@click.argument("urls", nargs=-1, required=True, metavar="s3://BUCKET/KEY...")
@common
@pass_console
def hint(console: Console, urls: Sequence[str]) -> None:
    """Have objects looked at now, as from a notification of the object store; - reads a list from standard input.

    It only makes it sooner: the next listing finds them anyway.
    """
    given = [line.strip() for line in sys.stdin] if list(urls) == ["-"] else urls
    found = manage.hint(console.system, [url for url in given if url])
    if not console.print_json([{"url": url, "watched": watched} for url, watched in found.items()]):
        for url, watched in found.items():
            console.print(f"{printable(url)}: {'looked at with the next tick' if watched else 'no watch covers it'}")
    if found and not any(found.values()):
        raise NotFound("no watch covers what was named; `poseline watch list` shows what is watched")


def _print_watches(console: Console, team: str | None = None) -> None:
    found = manage.list_watches(console.system, team=team)
    if console.print_json([manage.to_dict(each) for each in found]):
        return
    if not found:
        console.print("nothing is watched; `poseline watch add` begins")
        return
    console.table(("watch", "where", "pattern", "team", "model", "settle"), [_cells(each) for each in found])


def _cells(row: WatchRow) -> tuple[str, ...]:
    team = row.team or ("by the key" if "{team}" in row.pattern else "default")
    return short_watch_id(row), row.location, row.pattern, team, row.model_name, f"{row.settle_s:g} s"
