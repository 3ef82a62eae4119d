"""`poseline tag`, and the option --tag by which other commands select."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.core.tags import Tags, check_key, composed, format_tags, parse_tags
from pipeline.errors import UsageError
from pipeline.services.runs import Preference
from pipeline.services.tags import tag_video


def read_tags(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> Tags:
    """Tags of the command line: a callback of click."""
    try:
        return parse_tags(texts)
    except ValueError as error:
        raise UsageError(str(error)) from error


select_by_tag = click.option(
    "--tag",
    "tags",
    multiple=True,
    callback=read_tags,
    metavar="KEY=VALUE",
    help="Whose video has this tag; repeatable: all of them.",
)


def chosen_runs(
    console: Console, names: Sequence[str], tags: Tags, *, team: str | None, prefer: Preference
) -> list[UUID]:
    """The runs that a command was given by name, or by the tags of their videos.

    Raises:
        UsageError: neither was given, or both.
        NotFound: there is no such run.
    """
    if bool(names) == bool(tags):
        raise UsageError(
            "name a run, or choose runs by --tag KEY=VALUE" if not names else "give RUN or --tag, not both"
        )
    if tags:
        return console.client.find_runs_by_tags(tags, team=team, prefer=prefer)
    return [console.client.find_run(name, team=team, prefer=prefer) for name in names]


@click.command()
@click.argument("name", metavar="VIDEO|RUN")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...", callback=read_tags)
@click.option("--remove", multiple=True, metavar="KEY", help="Remove this tag; repeatable.")
@click.option("--team", help="Only this team's.")
@common
@pass_console
def tag(console: Console, name: str, changes: Tags, remove: tuple[str, ...], team: str | None) -> None:
    """Set tags of a video, or remove them; without changes, show them.

    A video is named by its name, its id, or the first characters of the id of one of its runs.
    """
    remove = tuple(map(composed, remove))
    try:
        for key in remove:
            check_key(key)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if both := set(remove) & set(changes):
        raise UsageError(f"the tag {min(both)} is set and removed at once; do one of them")
    found = tag_video(console.system, name, team=team, tags=changes, remove=remove)
    if not console.print_json(found.to_dict()):
        console.print(f"{found.video}: {format_tags(found.tags) or 'no tags'}")
