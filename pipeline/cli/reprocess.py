"""`poseline reprocess`: analyse videos again by another model, once."""

from __future__ import annotations

import time
from typing import Any

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.pass_lines import estimate_lines, nothing_line
from pipeline.cli.progress import Bar
from pipeline.cli.selecting import select_videos, selection_of
from pipeline.core.tags import Tags
from pipeline.errors import RunFailed, ServiceUnavailable, UsageError
from pipeline.services import reprocess as service
from pipeline.services.pass_estimate import Estimate
from pipeline.services.pass_list import PassProgress, get_pass

_POLL_S = 1.0
#: Postgres may be away for so long, as when it restarts.
_OUTAGE_S = 30.0


@click.command()
@click.option("--model", required=True, metavar="NAME", help="By which model.")
@select_videos
@click.option("--team", help="Only this team's videos.")
@click.option("--limit", type=click.IntRange(1, 10**9), metavar="N", help="At most so many, the first uploaded first.")
@click.option("--sample", type=click.IntRange(1, 10**9), metavar="N", help="So many at random, to decide by.")
@click.option(
    "--promotion",
    "promotion",
    default="automatic",
    show_default=True,
    metavar="RULE",
    help="When a new run becomes its video's current one: automatic, manual, better, or 'oks>=0.9, lost<=2%'.",
)
@click.option("--dry-run", is_flag=True, help="Only show which videos, how many frames, and how long.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end.")
@common
@pass_console
def reprocess(
    console: Console,
    model: str,
    conditions: tuple[str, ...],
    tags: Tags,
    only_worse: bool,
    team: str | None,
    limit: int | None,
    sample: int | None,
    promotion: str,
    dry_run: bool,
    no_wait: bool,
) -> None:
    """Analyse the videos that have no run by this model yet, in the lane `reprocess`: fresh videos come first.

    To decide by a sample, with people looking at what changed:

    poseline reprocess --model rtmo-m --where tag.season=2025 --sample 20 --promotion manual
    """
    if limit is not None and sample is not None:
        raise UsageError("give --limit or --sample, not both")
    selection = selection_of(conditions, tags, only_worse)
    wanted = service.Wanted(model, selection, team, limit, sample, promotion)
    if dry_run:
        estimate = service.estimate(console.system, wanted)
        if not console.print_json(estimate.to_dict()):
            for line in estimate_lines(console, estimate):
                console.print(line)
        return
    with Bar(console, "preparing the model", None) as bar:
        opened = service.reprocess(console.system, wanted, bar)
    if isinstance(opened, Estimate):
        if not console.print_json({"pass_id": None, **opened.to_dict()}):
            console.print(nothing_line(opened))
        return
    ended = opened if no_wait else _wait(console, opened)
    if not console.print_json(ended.to_dict()):
        _print(console, ended, no_wait=no_wait)
    if ended.counts["failed"]:
        raise RunFailed(f"{ended.counts['failed']} runs failed; `poseline runs --state failed` says why")


def _wait(console: Console, opened: PassProgress) -> PassProgress:
    now, answered_at = opened, time.monotonic()
    try:
        with Bar(console, opened.one.name, opened.frames_total) as bar:
            while now.one.closed_at is None:
                time.sleep(_POLL_S)
                try:
                    now = PassProgress(*get_pass(console.system, opened.one.id), opened.frames_total)
                except ServiceUnavailable:
                    if time.monotonic() - answered_at > _OUTAGE_S:
                        raise
                    continue
                answered_at = time.monotonic()
                bar.at(now.counts["frames"])
    except KeyboardInterrupt:
        console.notice(f"it goes on without this command; `poseline schedule stop '{opened.one.name}'` ends it")
        raise
    return now


def _print(console: Console, ended: PassProgress, *, no_wait: bool) -> None:
    counts: dict[str, Any] = ended.counts
    if no_wait:
        console.print(f"pass {ended.one.name!r} is open; `poseline schedule passes` shows how far it is")
        return
    console.print(
        f"pass {ended.one.name!r}: {ended.one.ended}; {counts['done']} of {counts['videos']} videos done, "
        f"{counts['frames']:,} frames"
    )
    console.print(f"`poseline report '{ended.one.name}'` says what changed")
