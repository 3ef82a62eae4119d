"""`poseline pause` and `resume`: hold back the work of a team or of a lane, and go on with it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.db.pauses import Pausable, Pause
from pipeline.errors import UsageError
from pipeline.services import pause as service
from pipeline.services.pause import in_words, resume_command


def _named(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that both commands have."""
    for option in (
        click.option("--lane", "lanes", metavar="LANE", multiple=True, help="live, fresh or reprocess; repeatable."),
        click.option("--team", "teams", metavar="TEAM", multiple=True, help="Repeatable."),
    ):
        command = option(command)
    return command


@click.command()
@_named
@common
@pass_console
def pause(console: Console, teams: tuple[str, ...], lanes: tuple[str, ...]) -> None:
    """Send no more work of a team or lane to workers, until `poseline resume`.

    What was sent already goes on: the chunks in hand and the few that wait in Redis are finished. Uploads are accepted
    and wait. `poseline status` lists what is paused.
    """
    changes = service.pause(console.system, _parts(teams, lanes))
    if console.print_json([each.to_dict() for each in changes]):
        return
    for each in changes:
        assert each.since is not None
        waits = "1 open run waits" if each.open_runs == 1 else f"{each.open_runs} open runs wait"
        already = "" if each.changed else "already "
        command = resume_command(Pause(each.kind, each.name, each.since))
        line = (
            f"{each.kind} {each.name} is {already}paused {in_words(each.since)}: {waits}; `{command}` goes on with it"
        )
        console.print(line)


@click.command()
@_named
@common
@pass_console
def resume(console: Console, teams: tuple[str, ...], lanes: tuple[str, ...]) -> None:
    """Go on with a team or lane that was paused."""
    changes = service.resume(console.system, _parts(teams, lanes))
    if not console.print_json([each.to_dict() for each in changes]):
        for each in changes:
            console.print(f"{each.kind} {each.name} {'goes on' if each.changed else 'was not paused'}")


def _parts(teams: Sequence[str], lanes: Sequence[str]) -> list[tuple[Pausable, str]]:
    if not teams and not lanes:
        raise UsageError("name a team or a lane: --team NAME, --lane NAME")
    return [*(("team", name) for name in teams), *(("lane", name) for name in lanes)]
