"""Remove what is not kept any longer, and finish erasures that were interrupted, a little in each tick."""

from __future__ import annotations

import time

from pipeline.services.erase.work import finish_erasures
from pipeline.services.frame_removal import remove_frames
from pipeline.services.retention_sweep import sweep_outlived
from pipeline.services.system import System

#: Of a tick, at most; each of the three goes on in the next one.
_MOST_S = 1.0


def _until(system: System) -> float:
    return time.monotonic() + min(_MOST_S, system.settings.tick_s / 4)


def remove_frames_of_deleted_runs(system: System) -> None:
    """Delete frames whose run was deleted."""
    remove_frames(system, until=_until(system))


def remove_outlived(system: System) -> None:
    """Remove what is older than the teams' rules keep it."""
    sweep_outlived(system, _until(system))


def finish_erasures_begun(system: System) -> None:
    """Go on with erasures that were interrupted, and remove what came to the store after them."""
    finish_erasures(system, _until(system))
