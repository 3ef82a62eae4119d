"""Delete the frames of runs that were deleted, a batch at a time."""

from __future__ import annotations

import time
from uuid import UUID

from pipeline.core.progress import SILENT, Progress
from pipeline.db.engine import transaction
from pipeline.db.frame_removal import has_removals, remove_batch
from pipeline.services.system import System

_POLL_S = 0.05


def remove_frames(
    system: System, *, run_id: UUID | None = None, until: float | None = None, progress: Progress = SILENT
) -> int:
    """Delete the frames of every run that was deleted, or of this one. Returns how many.

    Args:
        until: stop at this time of `time.monotonic`; None to go on to the end, also where others delete them too.
    """
    removed = 0
    while until is None or time.monotonic() < until:
        with transaction(system.engine) as connection:
            batch = remove_batch(connection, run_id)
            busy = batch is None and until is None and has_removals(connection, run_id)
        if batch is not None:
            removed += batch.frames
            progress.advance(batch.frames)
        elif busy:
            time.sleep(_POLL_S)
        else:
            break
    return removed
