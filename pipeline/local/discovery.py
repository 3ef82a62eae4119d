"""Which home a command speaks of.

The one that is named, else the nearest `.poseline/` at or above the current directory, as git finds `.git`, else the
user's own, which is the same from everywhere. So `poseline analyze` in one directory and `poseline runs` in another
have one stack and one history, and a checkout can still have its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path

from pipeline.errors import UsageError
from pipeline.local.home import Home

VARIABLE = "POSELINE_HOME"
FOLDER = ".poseline"

Origin = Literal["option", "environment", "folder", "user"]


@dataclass(frozen=True)
class FoundHome:
    """A home that was named or found; it need not exist yet.

    Args:
        path: absolute and without links.
        origin: "option" or "environment" if it was named, "folder" for a `.poseline/` at or above the current
            directory, "user" for the user's own.
        passed_over: each `.poseline` on the way that belongs to another user.
    """

    path: Path
    origin: Origin
    passed_over: tuple[Path, ...] = ()


def find_home(named: Path | None = None) -> FoundHome:
    """The home of this invocation: `named`, then `POSELINE_HOME`, then the nearest `.poseline/`, then the user's own.

    Raises:
        UsageError: none is named or found, and there is no place for this user's data.
    """
    if named is not None:
        return FoundHome(Home.at(named).path, "option")
    if variable := os.environ.get(VARIABLE):
        return FoundHome(Home.at(Path(variable)).path, "environment")
    nearest, passed_over = _nearest()
    if nearest is not None:
        return FoundHome(Home.at(nearest).path, "folder", passed_over)
    return FoundHome(_users_own(), "user", passed_over)


def finds_itself(home: Path) -> bool:
    """Whether a command without `--home` speaks of this home, from the current directory."""
    try:
        return find_home().path == Home.at(home).path
    except UsageError:
        return False


def _nearest() -> tuple[Path | None, tuple[Path, ...]]:
    """The nearest home of this user at or above the current directory, and those of others that are nearer."""
    passed_over: list[Path] = []
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return None, ()
    for folder in (here, *here.parents):
        candidate = folder / FOLDER
        try:
            # A link and what it leads to: whoever made either decides which servers are spoken to.
            owners = {candidate.lstat().st_uid, candidate.stat().st_uid}
            if owners == {os.geteuid()}:
                owners.add(Home(candidate).stack_file.stat().st_uid)
        except OSError:
            continue
        if owners == {os.geteuid()}:
            return candidate, tuple(passed_over)
        passed_over.append(candidate)
    return None, tuple(passed_over)


def _users_own() -> Path:
    """The user's home for Poseline, in the platform's directory for data: on Linux below `XDG_DATA_HOME`.

    Raises:
        UsageError: the user has no home directory, or under sudo it is another user's.
    """
    try:
        path = user_data_path("poseline", appauthor=False)
    except RuntimeError as error:
        raise UsageError(
            f"this user has no home directory for Poseline's data; name a place with --home or {VARIABLE}"
        ) from error
    nearest = next(each for each in (path, *path.parents) if os.path.exists(each))
    owner = _owner_of(nearest)
    if os.geteuid() == 0 and owner != 0 and str(owner) == os.environ.get("SUDO_UID"):
        raise UsageError(
            f"{nearest} belongs to the user who called sudo; call poseline without sudo, or name a place with --home"
        )
    return Home.at(path).path


def _owner_of(path: Path) -> int:
    return path.stat().st_uid
