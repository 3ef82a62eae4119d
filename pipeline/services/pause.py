"""Pause and resume the work of a team or of a lane.

Nothing more of what is paused is sent to workers. What was sent, at most the window, goes on, so that nothing is lost
or done twice; uploads are accepted, and wait.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pipeline.db import pauses as db
from pipeline.db.engine import transaction
from pipeline.db.pauses import Pausable, Pause
from pipeline.db.teams import ensure_team
from pipeline.errors import UnknownLane
from pipeline.services.dispatch import dispatch
from pipeline.services.system import System
from pipeline.services.teams import DEFAULT_TEAM, require_team


@dataclass(frozen=True)
class PauseChange:
    """A team or lane after it was paused or resumed.

    Args:
        since: when it was paused; None where it is not.
        changed: whether that is new.
        open_runs: its runs that have not ended.
    """

    kind: Pausable
    name: str
    since: datetime | None
    changed: bool
    open_runs: int

    def to_dict(self) -> dict[str, object]:
        """The change as JSON fields."""
        since = self.since and self.since.isoformat()
        fields = {"kind": self.kind, "name": self.name, "paused_since": since}
        return {**fields, "changed": self.changed, "open_runs": self.open_runs}


def pause(system: System, parts: Sequence[tuple[Pausable, str]]) -> list[PauseChange]:
    """Send nothing more of these teams and lanes to workers.

    Raises:
        UnknownTeam, UnknownLane: there is none of that name; nothing was changed.
    """
    return _change(system, parts, db.set_pause)


def resume(system: System, parts: Sequence[tuple[Pausable, str]]) -> list[PauseChange]:
    """Go on with these teams and lanes, at once.

    Raises:
        UnknownTeam, UnknownLane: there is none of that name; nothing was changed.
    """
    changes = _change(system, parts, db.clear_pause)
    dispatch(system)
    return changes


def list_pauses(system: System) -> list[Pause]:
    """What is paused now."""
    with transaction(system.engine) as connection:
        return db.select_pauses(connection)


def pause_line(pause: Pause) -> str:
    """A pause in words, with how to end it."""
    return f"{pause.kind} {pause.name} is paused {in_words(pause.since)}; `{resume_command(pause)}` goes on with it"


def resume_command(pause: Pause) -> str:
    """The command that ends a pause."""

    return f"poseline resume --{pause.kind} {shlex.quote(pause.name)}"


def in_words(since: datetime) -> str:
    """A time in the past in local time: `since 14:02`, with the date where it is not today's."""
    local = since.astimezone()
    today = local.date() == datetime.now().astimezone().date()
    return f"since {local:%H:%M}" if today else f"since {local:%Y-%m-%d %H:%M}"


def _change(
    system: System, parts: Sequence[tuple[Pausable, str]], change: Callable[[Connection, Pausable, str], bool | None]
) -> list[PauseChange]:
    for kind, name in parts:
        if kind == "team":
            require_team(system, name)
    changes = []
    with transaction(system.engine) as connection:
        for kind, name in parts:
            if (kind, name) == ("team", DEFAULT_TEAM):
                ensure_team(connection, name)
            changed = change(connection, kind, name)
            if changed is None:
                lanes = ", ".join(db.select_lanes(connection))
                raise UnknownLane(f"there is no lane {name!r}; the lanes are {lanes}")
            since = {(each.kind, each.name): each.since for each in db.select_pauses(connection)}.get((kind, name))
            changes.append(PauseChange(kind, name, since, changed, db.count_open_runs(connection, kind, name)))
    return changes
