"""Draw a preview in a process of its own: it takes a processor and up to 190 MiB, which are given back with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

from pipeline import errors
from pipeline.errors import PoselineError
from pipeline.services.system import System

#: As long as who asked waits.
_LONGEST_S = 6 * 3600.0
_MODULE = "pipeline.services.preview.process"


def draw_apart(system: System, run_id: UUID, to: Path, *, team: str) -> tuple[str, ...]:
    """Write a run's annotated video (`.mp4`) or contact sheet (`.png`). Returns what is different.

    Raises:
        PoselineError: as `preview_run`; or the process ended by itself.
    """
    request = {"settings": system.settings.handed_on(), "run_id": str(run_id), "to": str(to), "team": team}
    try:
        drawn = subprocess.run(
            [sys.executable, "-m", _MODULE, str(os.getpid())],
            input=json.dumps(request).encode(),
            stdout=subprocess.PIPE,
            check=False,
            timeout=_LONGEST_S,
        )
    except subprocess.TimeoutExpired as error:
        raise PoselineError(f"drawing took longer than {_LONGEST_S / 3600:.0f} h and was ended") from error
    if drawn.returncode != 0:
        raise PoselineError("drawing broke off; the log of the pages says why")
    told = json.loads(drawn.stdout)
    if "error" in told:
        kind = getattr(errors, told["error"], None)
        raise (kind if isinstance(kind, type) and issubclass(kind, PoselineError) else PoselineError)(told["message"])
    return tuple(told["notes"])
