"""`poseline erase`: erase videos, a person or a team for good, and prove it later."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from uuid import UUID

import click

from pipeline.cli.console import Console, common, interactive, pass_console
from pipeline.cli.progress import Bar
from pipeline.cli.tagging import select_by_tag
from pipeline.core.tags import Tags
from pipeline.db.erasures import ErasureRow
from pipeline.errors import ServiceUnavailable, UsageError
from pipeline.services.erase.check import check_erasures, find_erasure, list_erasures
from pipeline.services.erase.receipt import to_dict
from pipeline.services.erase.targets import Asked, begin_erasure, find_asked
from pipeline.services.erase.work import go_on
from pipeline.services.teams import in_bytes
from pipeline.services.upload_steps import printable

#: What is counted, in the order in which it is shown, and the name of one.
_ROWS = {
    "teams": "team",
    "videos": "video",
    "runs": "run",
    "chunks": "chunk",
    "frames": "frame",
    "comparisons": "comparison",
    "promotions": "promotion",
    "names": "name",
    "tags": "tag",
    "rules": "rule",
    "schedules": "schedule",
    "passes": "pass",
    "watches": "watch",
    "live sessions": "live session",
}


@click.command()
@click.argument("names", metavar="[VIDEO|ERASURE]...", nargs=-1)
@click.option("--team", help="Only this team's videos; without VIDEO and --tag, the whole team.")
@select_by_tag
@click.option("--dry-run", is_flag=True, help="Show what would be erased, and erase nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--by", metavar="WHO", help="Who asked for it, for the receipt [default: the user of this system]")
@click.option("--list", "action", flag_value="list", help="List the erasures.")
@click.option("--show", "action", flag_value="show", help="Show the receipt of ERASURE.")
@click.option("--check", "action", flag_value="check", help="Check that what ERASURE erased has not come back.")
@click.option("--resume", "action", flag_value="resume", help="Go on now with ERASURE, which was interrupted.")
@click.option("--all", "every", is_flag=True, help="With --check or --resume: every erasure.")
@common
@pass_console
def erase(
    console: Console,
    /,
    names: tuple[str, ...],
    team: str | None,
    tags: Tags,
    dry_run: bool,
    yes: bool,
    by: str | None,
    action: str | None,
    every: bool,
) -> None:
    """Erase videos, all videos of a person, or a team, for good.

    Everything goes: the video with every version and open upload, its runs, frames, exports, names and tags. Running
    work is cancelled. Other uploads of the same content by the same team go, too; objects of a bucket of your own stay,
    and are named. It cannot be undone. An erasure that is interrupted is finished by beat's ticks.

    VIDEO is a video's name or the first eight characters of its id or of that of one of its runs. A person is who
    their videos are tagged with: --team club --tag person=anna.

    Of what was erased a receipt stays, in numbers and SHA-256s; --check proves later that nothing has come back.
    """
    if action is None:
        if every:
            raise UsageError("--all goes with --check or --resume; a whole team is `poseline erase --team TEAM`")
        _erase(console, names, team, tags, dry_run=dry_run, yes=yes, by=by)
        return
    if team is not None or tags or dry_run or yes or by is not None:
        raise UsageError(f"--{action} takes erasures, and no option that says what to erase")
    ids = _chosen(console, action, names, every=every)
    {"list": _list, "show": _show, "check": _check, "resume": _resume}[action](console, ids)


def _chosen(console: Console, action: str, names: Sequence[str], *, every: bool) -> list[UUID] | None:
    """The erasures that were named; None for all."""
    if action == "list" and (names or every):
        raise UsageError("--list lists every erasure; `poseline erase --show ID` shows one")
    if action == "show" and every:
        raise UsageError("`poseline erase --list` lists every erasure")
    if action != "list" and bool(names) == every:
        raise UsageError(f"name an erasure by its id{'' if action == 'show' else ', or give --all'}")
    return [find_erasure(console.system, name) for name in names] if names else None


def _erase(
    console: Console, names: Sequence[str], team: str | None, tags: Tags, *, dry_run: bool, yes: bool, by: str | None
) -> None:
    asked = find_asked(console.system, names, team=team, tags=tags)
    if dry_run and console.print_json(asked.to_dict()):
        return
    _say_what_goes(console, asked)
    if dry_run:
        return
    if not yes:
        _confirm(console, asked)
    erasure_id = begin_erasure(console.system, asked, by or _user())
    try:
        _go_on(console, [erasure_id], asked.extent.videos)
    except (KeyboardInterrupt, ServiceUnavailable):
        resume = console.naming_home(f"`poseline erase --resume {erasure_id}`")
        console.notice(f"beat goes on with it, for it was begun; or now: {resume}", erasure_id=str(erasure_id))
        raise


def _user() -> str:
    """Who runs this, by name, or where the system knows none, by number."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"


def _say_what_goes(console: Console, asked: Asked) -> None:
    extent = asked.extent
    such_as = f" ({', '.join(asked.examples)}{', …' if extent.videos > len(asked.examples) else ''})" * bool(
        asked.examples
    )
    console.print(
        f"{_many(extent.videos, 'video')}{such_as}, {in_bytes(extent.stored_bytes)} stored; "
        f"{_many(extent.runs, 'run')}, {extent.open_runs} of them under way; {_many(extent.frames, 'frame')}"
    )
    for url in extent.registered:
        console.print(f"stays, for it is not Poseline's own: {printable(url)}")


def _confirm(console: Console, asked: Asked) -> None:
    if console.as_json or not interactive():
        raise UsageError("nothing was erased: give --yes, or --dry-run to see what would go")
    what = {"videos": "its name" if len(asked.examples) == 1 else "how many", "tag": "the tag", "team": "its name"}
    typed = click.prompt(
        f"It cannot be undone. To erase it, type {what[asked.scope]}, {asked.confirmation!r}", err=True
    )
    if typed != asked.confirmation:
        raise UsageError("nothing was erased: that was something else")


def _resume(console: Console, ids: list[UUID] | None) -> None:
    rows = [row for row in list_erasures(console.system, ids) if row.finished_at is None]
    _go_on(console, [row.id for row in rows], None)


def _go_on(console: Console, ids: list[UUID], videos: int | None) -> None:
    with Bar(console, "erasing", videos, "videos") as bar:
        for erasure_id in ids:
            go_on(console.system, erasure_id, progress=bar)
    rows = list_erasures(console.system, ids)
    if console.print_json([to_dict(row) for row in rows]):
        return
    for row in rows:
        console.print(f"erasure {row.id}: {_what_went(row)}")
    if not rows:
        console.print("every erasure is finished")


def _list(console: Console, _: list[UUID] | None) -> None:
    rows = list_erasures(console.system)
    if console.print_json([to_dict(row) for row in rows]):
        return
    if not rows:
        console.print("nothing was erased yet")
        return
    console.table(
        ("erasure", "asked", "by", "what", "finished", "gone"),
        [
            (row.id, f"{row.requested_at:%Y-%m-%d %H:%M}", row.by, row.scope, _finished(row), _what_went(row))
            for row in rows
        ],
    )


def _show(console: Console, ids: list[UUID] | None) -> None:
    rows = list_erasures(console.system, ids)
    if console.print_json([to_dict(row, hashes=True) for row in rows]):
        return
    for row in rows:
        console.print(f"erasure {row.id} ({row.scope}), asked on {row.requested_at:%Y-%m-%d %H:%M} by {row.by}")
        console.print(f"finished: {_finished(row)}; gone: {_what_went(row)}")
        console.print(f"SHA-256 of what was asked: {row.asked_sha256}")
        for kind, hashes in row.receipt.get("sha256", {}).items():
            console.print(f"SHA-256 of {kind}:")
            for each in hashes:
                console.print(f"  {each}")


def _check(console: Console, ids: list[UUID] | None) -> None:
    with Bar(console, "checking", None, "objects") as bar:
        checks = check_erasures(console.system, ids, bar)
    if not console.print_json([each.to_dict() for each in checks]):
        for each in checks:
            console.print(f"erasure {each.erasure.id}: {each.line}")
        if not checks:
            console.print("nothing was erased yet")
    if not all(each.good for each in checks):
        raise click.exceptions.Exit(1)


def _finished(row: ErasureRow) -> str:
    return "not yet" if row.finished_at is None else f"{row.finished_at:%Y-%m-%d %H:%M}"


def _what_went(row: ErasureRow) -> str:
    rows, objects = row.receipt.get("rows", {}), row.receipt.get("objects", {})
    parts = [f"{rows[name]:,} {name if rows[name] > 1 else one}" for name, one in _ROWS.items() if rows.get(name)]
    if objects.get("versions"):
        parts.append(f"{_many(objects['versions'], 'object version')} of {in_bytes(objects['size_bytes'])}")
    if objects.get("uploads"):
        parts.append(_many(objects["uploads"], "open upload"))
    if row.receipt.get("registered_objects_left"):
        parts.append(f"{_many(row.receipt['registered_objects_left'], 'object')} in your own buckets left")
    return ", ".join(parts) or "nothing"


def _many(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
