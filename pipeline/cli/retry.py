"""`poseline retry`: try again what failed, was cancelled or was given up."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.progress import Bar
from pipeline.cli.since import Since
from pipeline.cli.tagging import select_by_tag
from pipeline.core.tags import Tags
from pipeline.errors import PoselineError, ServiceUnavailable, UsageError
from pipeline.services.retry import Retry, iter_retry, iter_retry_failed
from pipeline.services.retry import retry as retry_one
from pipeline.services.runs import find_runs_by_tags, short_id
from pipeline.services.teams import require_team


@click.command()
@click.argument("targets", metavar="RUN|CHUNK|VIDEO...", nargs=-1)
@click.option("--all-failed", is_flag=True, help="All that failed and was not asked for again, as after an outage.")
@click.option("--since", type=Since(), metavar="TIME", help="With --all-failed: failed since 2026-11-20, 7d, today, …")
@select_by_tag
@click.option("--team", help="Only this team's.")
@common
@pass_console
def retry(
    console: Console, targets: tuple[str, ...], all_failed: bool, since: datetime | None, tags: Tags, team: str | None
) -> None:
    """Try again what failed, was cancelled, was given up, or waits after an error.

    A run that has ended stays as it is: a new run of the same video, model, lane and deadline takes its place, also of
    a done run in which parts were given up. In a run under way, the parts that were given up are analysed again, and
    what waits after an error is tried now. A rejected video is read again while its upload is still stored.

    CHUNK is RUN:NUMBER, such as 9b42e6d5:3; VIDEO is a video's name or the first characters of its id. --tag takes the
    newest run of every such video, by each model; with --all-failed, only what failed of these.
    """
    if (all_failed or bool(tags)) == bool(targets):
        raise UsageError("name what to try again, or choose it by --all-failed, --tag KEY=VALUE or both")
    if since is not None and not all_failed:
        raise UsageError("--since goes with --all-failed")
    if targets:
        _retry_each(console, targets, team)
        return
    if team is not None:
        require_team(console.system, team)
    system = console.system
    with Bar(console, "trying again", None, "runs") as bar:
        if all_failed:
            done = list(iter_retry_failed(system, team=team, since=since, tags=tags, progress=bar))
        else:
            done = list(iter_retry(system, find_runs_by_tags(system, tags, team=team, prefer="newest"), bar))
    _print(console, done, of_many=True)


def _retry_each(console: Console, targets: tuple[str, ...], team: str | None) -> None:
    """Try each again; one that cannot be does not keep the others, and the first such decides the exit code."""
    done: list[Retry] = []
    failures: list[tuple[str, PoselineError]] = []
    for target in targets:
        try:
            done.append(retry_one(console.system, target, team=team))
        except ServiceUnavailable:
            raise
        except PoselineError as error:
            failures.append((target, error))
    _print(console, done)
    for target, failure in failures:
        console.error(failure, target)
    if failures:
        raise click.exceptions.Exit(failures[0][1].exit_code)


def _print(console: Console, retries: list[Retry], *, of_many: bool = False) -> None:
    if console.print_json([each.to_dict() for each in retries]):
        return
    for each in retries:
        if of_many and each.action == "none":
            continue
        console.print(f"{each.video}, run {short_id(each.run_id)}: {each.message}")
    if of_many and not retries:
        console.print("nothing failed that was not asked for again")
    elif of_many:
        actions = Counter(each.action for each in retries)
        console.print(f"{len(retries) - actions['refused'] - actions['none']} of {len(retries)} are tried again")
