"""`poseline verify`: compare runs with their stored videos."""

from __future__ import annotations

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.formatting import in_number
from pipeline.cli.progress import Bar
from pipeline.cli.tagging import chosen_runs, select_by_tag
from pipeline.core.tags import Tags
from pipeline.errors import UsageError
from pipeline.services.runs import short_id


@click.command()
@click.argument("name", metavar="[RUN]", required=False)
@select_by_tag
@click.option("--all", "every", is_flag=True, help="The current run of every video.")
@click.option("--team", help="Only this team's.")
@common
@pass_console
def verify(console: Console, name: str | None, tags: Tags, every: bool, team: str | None) -> int:
    """Compare a run's frames and export with its video in the object store. Exit code 1 if they differ.

    With --tag or --all, those of the current run of every video that has the tag, or of every video.
    """
    if every and (name or tags):
        raise UsageError("--all is every video; leave out RUN and --tag")
    many = bool(tags) or every
    found = (
        console.client.current_runs(team=team)
        if every
        else chosen_runs(console, [name] if name else [], tags, team=team, prefer="current")
    )
    verdicts = []
    for run_id in found:
        with Bar(console, "verifying", None) as bar:
            verdict = console.client.verify_run(run_id, bar)
        verdicts.append(verdict)
        console.print(f"run {short_id(run_id)}: {'correct' if verdict.good else 'NOT correct'}")
        for check in verdict.checks:
            if not (many and check.good):
                console.print(f"  {check.what:<10} {'' if check.good else 'WRONG: '}{check.found}")
    facts = [verdict.to_dict() for verdict in verdicts]
    if not console.print_json(facts if many else facts[0]) and every:
        wrong = sum(not verdict.good for verdict in verdicts)
        console.print(f"{in_number(len(verdicts), 'run')} verified, {wrong or 'none'} of them wrong")
    return 0 if all(verdict.good for verdict in verdicts) else 1
