"""What one team's videos may take: the settings, and over them the team's own limits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.video_limits import VideoLimits
from pipeline.db.engine import transaction
from pipeline.db.teams import TeamRow, lock_team, select_limits, update_team
from pipeline.db.videos import VideoRow
from pipeline.errors import UsageError
from pipeline.services.system import System

#: Larger numbers than a double holds exactly help nobody.
_MOST = 2**53
_NO_LIMIT_S = 1e12
_STREAMS_AT_ALL = 10_000


class TeamLimits(BaseModel):
    """The limits that can be a team's own, by the names that they have as settings; None for the default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    max_video_bytes: int | None = Field(default=None, ge=1, le=_MOST)
    max_video_pixels: int | None = Field(default=None, ge=1, le=2**31 - 1)
    max_video_frames: int | None = Field(default=None, ge=1, le=2**31 - 1)
    max_video_s: float | None = Field(default=None, gt=0, le=_MOST)
    max_video_streams: int | None = Field(default=None, ge=1, le=10_000)
    max_cpu_s_per_frame: float | None = Field(default=None, gt=0, le=3600)


_FIELDS = {
    "max_video_bytes": "max_bytes",
    "max_video_pixels": "max_pixels",
    "max_video_frames": "max_frames",
    "max_video_s": "max_duration_s",
    "max_video_streams": "max_streams",
    "max_cpu_s_per_frame": "max_cpu_s_per_frame",
}


def limits_of(system: System, team_name: str) -> VideoLimits:
    """What a video of this team and its decoder child may take.

    Raises:
        UsageError: what the database holds for it is no set of limits.
    """
    with transaction(system.engine) as connection:
        own = _check(team_name, select_limits(connection, team_name))
    return replace(system.limits, **{_FIELDS[name]: value for name, value in own.items()})


def limits_of_ready(system: System, video: VideoRow) -> VideoLimits:
    """As `limits_of`, for a video that is in: a limit that was tightened since does not turn it away again."""
    limits = limits_of(system, video.team)
    width, height = video.size
    return replace(
        limits,
        max_pixels=max(limits.max_pixels, system.limits.max_pixels, width * height),
        max_frames=max(limits.max_frames, video.frames or 0),
        max_duration_s=_NO_LIMIT_S,
        max_streams=_STREAMS_AT_ALL,
        max_cpu_s_per_frame=max(limits.max_cpu_s_per_frame, system.limits.max_cpu_s_per_frame),
    )


def in_bytes(number: int) -> str:
    """A number of bytes for people: `10 KiB`, `1.5 GiB`."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number} bytes"


def set_team(
    system: System,
    team_name: str,
    *,
    weight: float | None = None,
    limits: Mapping[str, Any] | None = None,
    reset: Iterable[str] = (),
) -> TeamRow:
    """Change a team, and make it if need be; what is not named stays as it is.

    Args:
        weight: its share of the queue, against other teams' weights.
        limits: by the names of settings.
        reset: the limits that go back to the default.

    Raises:
        UsageError: an unknown limit, or a value that makes no sense.
    """
    if weight is not None and not (weight > 0 and math.isfinite(weight)):
        raise UsageError(f"a team's weight must be more than 0, not {weight:g}")
    with transaction(system.engine) as connection:
        before = lock_team(connection, team_name)
        kept = {name: value for name, value in before.limits.items() if name not in set(reset)}
        after = TeamRow(
            team_name, before.weight if weight is None else weight, _check(team_name, {**kept, **(limits or {})})
        )
        update_team(connection, after)
    return after


def _check(team_name: str, limits: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return TeamLimits.model_validate(dict(limits)).model_dump(exclude_none=True)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"team {team_name}: the limit {name} cannot be {first['input']!r:.40} ({first['msg']}); "
            "`poseline teams set` changes it"
        ) from error
