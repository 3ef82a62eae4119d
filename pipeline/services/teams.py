"""A team's limits: those of the settings, with the team's own in their place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.core.video_limits import VideoLimits
from pipeline.db.engine import transaction
from pipeline.db.teams import TeamRow, lock_team, select_limits, select_teams, update_team
from pipeline.db.videos import VideoRow
from pipeline.errors import UsageError
from pipeline.services.system import System


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


def set_team(
    system: System,
    team_name: str,
    *,
    weight: float | None = None,
    limits: Mapping[str, Any] | None = None,
    reset: Iterable[str] = (),
) -> TeamRow:
    """Change a team, creating it if needed; what is not named stays as it is.

    Args:
        weight: its share of the queue in proportion to other teams' weights.
        limits: by the names of `VideoLimits`.
        reset: the limits that go back to the default.

    Raises:
        UsageError: an unknown limit, or a value that makes no sense.
    """
    if weight is not None and not (weight > 0 and math.isfinite(weight)):
        raise UsageError(f"a team's weight must be more than 0, not {weight:g}")
    with transaction(system.engine) as connection:
        before = lock_team(connection, team_name)
        kept = {name: value for name, value in before.limits.items() if name not in set(reset)}
        own = {**kept, **(limits or {})}
        _with_team(system, team_name, own)
        after = TeamRow(team_name, before.weight if weight is None else weight, own)
        update_team(connection, after)
    return after


def _with_team(system: System, team_name: str, own: Mapping[str, Any]) -> VideoLimits:
    try:
        return system.limits.with_team(own)
    except ValueError as error:
        raise UsageError(f"team {team_name}: {error}; `poseline teams set` changes it") from error
