"""`poseline backup` and `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.place import shown
from pipeline.cli.progress import Bar
from pipeline.core.backup import Manifest
from pipeline.errors import UsageError
from pipeline.local.backup import make_backup
from pipeline.local.restore import restore_backup
from pipeline.settings import configured_by_environment

_FOLDER = click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))


@click.command()
@_FOLDER
@common
@pass_console
def backup(console: Console, folder: Path) -> None:
    """Copy the database, as of one moment, and every object that it names into DIR, which is new or empty.

    Work goes on meanwhile; only removals wait. Broken off, the same command goes on. It works with the servers that the
    environment names, too.
    """
    with Bar(console, "backing up", None, "bytes") as bar:
        made = make_backup(console.settings, folder, bar)
    if not console.print_json(_facts(made, folder)):
        console.print(f"{shown(folder.resolve())}: {_in_words(made)}")


@click.command()
@_FOLDER
@common
@pass_console
def restore(console: Console, folder: Path) -> None:
    """Make a stack in an empty home (`--home`) from the backup in DIR. Broken off, the same command goes on."""
    if configured_by_environment():
        raise UsageError(
            "restore makes a local stack, and the environment names other servers: docs/operations.md says how to "
            "restore those; unset POSELINE_DATABASE_URL to restore here"
        )
    with Bar(console, "restoring", None, "bytes") as bar:
        restored = restore_backup(console.home, folder, bar)
    if not console.print_json(_facts(restored, folder)):
        console.print(f"restored into {shown(console.home)}: {_in_words(restored)}")
        console.print("`poseline up` starts it")


def _facts(manifest: Manifest, folder: Path) -> dict[str, Any]:
    return {"folder": str(folder.resolve()), **manifest.to_dict()}


def _in_words(manifest: Manifest) -> str:
    size_mb = (manifest.dump_bytes + manifest.object_bytes) / 1e6
    gone = f"; {manifest.missing} were gone already" if manifest.missing else ""
    return f"the database as of {manifest.taken_at} and {manifest.objects} objects, {size_mb:.1f} MB{gone}"
