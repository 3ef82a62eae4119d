"""A team's limits: those of the settings, with the team's own in their place."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.video_limits import VideoLimits
from pipeline.db.engine import transaction
from pipeline.db.teams import (
    TeamRow,
    ensure_team,
    find_team_id,
    insert_team,
    lock_team,
    select_limits,
    select_teams,
    team_exists,
    update_team,
)
from pipeline.db.videos import VideoRow
from pipeline.errors import UnknownTeam, UsageError
from pipeline.services.system import System

#: The team of whoever names none; it is made when it is first needed.
DEFAULT_TEAM = "default"


def limits_of(system: System, team_name: str) -> VideoLimits:
    """The limits of a team's videos.

    Raises:
        UsageError: the limits stored for the team make no sense.
    """
    with transaction(system.engine) as connection:
        own = select_limits(connection, team_name)
    return _with_team(system, team_name, own)


def limits_of_ready(system: System, video: VideoRow) -> VideoLimits:
    """The limits of a video that was ingested: one that was lowered since must not reject it again."""
    width, height = video.size
    return limits_of(system, video.team).for_ingested(system.limits, width, height, video.frames or 0)


def in_bytes(number: int) -> str:
    """Format a number of bytes: `10 KiB`, `1.5 GiB`."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number} bytes"


def list_teams(system: System) -> list[TeamRow]:
    """Every team, by name."""
    with transaction(system.engine) as connection:
        return select_teams(connection)


def add_team(
    system: System,
    team_name: str,
    *,
    weight: float = 1.0,
    limits: Mapping[str, Any] | None = None,
    max_slots: int | None = None,
    quota_bytes: int | None = None,
) -> TeamRow:
    """Add a team.

    Args:
        weight: its share of the queue in proportion to other teams' weights.
        limits: by the names of `VideoLimits`; the others are those of the settings.
        max_slots: the most chunks that it may have under way.
        quota_bytes: the most that it may store by uploads over the network.

    Raises:
        UsageError: there is one of that name, an unknown limit, or a value that makes no sense.
    """
    _check_weight(weight)
    new = TeamRow(team_name, weight, dict(limits or {}), max_slots, quota_bytes)
    try:
        system.limits.with_team(new.limits)
    except ValueError as error:
        raise UsageError(f"team {team_name}: {error}") from error
    with transaction(system.engine) as connection:
        if not insert_team(connection, new):
            raise UsageError(f"there is a team {team_name!r} already; `poseline teams set` changes it")
    return new


def set_team(
    system: System,
    team_name: str,
    *,
    weight: float | None = None,
    limits: Mapping[str, Any] | None = None,
    reset: Iterable[str] = (),
    max_slots: int | None = None,
    quota_bytes: int | None = None,
) -> TeamRow:
    """Change a team; what is not named stays as it is.

    Args:
        weight: its share of the queue in proportion to other teams' weights.
        limits: by the names of `VideoLimits`.
        reset: the limits that go back to the default.
        max_slots: the most chunks that it may have under way; 0 takes the cap away.
        quota_bytes: the most that it may store by uploads over the network; 0 takes the quota away.

    Raises:
        UnknownTeam: there is no such team.
        UsageError: an unknown limit, or a value that makes no sense.
    """
    if weight is not None:
        _check_weight(weight)
    with transaction(system.engine) as connection:
        if team_name == DEFAULT_TEAM:
            ensure_team(connection, team_name)
        before = lock_team(connection, team_name)
        if before is None:
            raise _unknown_team(connection, team_name)
        kept = {name: value for name, value in before.limits.items() if name not in set(reset)}
        own = {**kept, **(limits or {})}
        _with_team(system, team_name, own)
        after = TeamRow(
            team_name,
            before.weight if weight is None else weight,
            own,
            before.max_slots if max_slots is None else max_slots or None,
            before.quota_bytes if quota_bytes is None else quota_bytes or None,
        )
        update_team(connection, after)
    return after


def require_team(system: System, team_name: str) -> None:
    """Check that there is a team of that name. The default one need not have been made.

    Raises:
        UnknownTeam: there is none; the message names the most similar.
    """
    if team_name == DEFAULT_TEAM:
        return
    with transaction(system.engine) as connection:
        if not team_exists(connection, team_name):
            raise _unknown_team(connection, team_name)


def team_id_of(system: System, team_name: str | None) -> UUID | None:
    """The id of a team; None for all teams.

    Raises:
        UnknownTeam: there is none of that name; the message names the most similar.
    """
    if team_name is None:
        return None
    with transaction(system.engine) as connection:
        found = find_team_id(connection, team_name)
        if found is None:
            raise _unknown_team(connection, team_name)
    return found


def _unknown_team(connection: Connection, name: str) -> UnknownTeam:
    known = {DEFAULT_TEAM, *(row.name for row in select_teams(connection))}
    near = get_close_matches(name, sorted(known), 1)
    similar = f" (did you mean {near[0]!r}?)" if near else ""
    makes = f"`poseline teams add {shlex.quote(name)}` makes it"
    return UnknownTeam(f"there is no team {name!r}{similar}; `poseline teams` lists them, {makes}")


def _check_weight(weight: float) -> None:
    if not (weight > 0 and math.isfinite(weight)):
        raise UsageError(f"a team's weight must be more than 0, not {weight:g}")


def _with_team(system: System, team_name: str, own: Mapping[str, Any]) -> VideoLimits:
    try:
        return system.limits.with_team(own)
    except ValueError as error:
        raise UsageError(f"team {team_name}: {error}; `poseline teams set` changes it") from error
