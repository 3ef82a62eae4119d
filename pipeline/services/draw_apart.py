"""Draw a preview in a process of its own: it takes a processor and up to 190 MiB, which are given back with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import UUID

from pipeline import errors
from pipeline.errors import Abandoned, PoselineError
from pipeline.services.system import System

#: As long as who asked waits.
_LONGEST_S = 6 * 3600.0
_LOOK_S = 0.1
_MODULE = "pipeline.services.preview.process"


def draw_apart(
    system: System, run_id: UUID, to: Path, *, team: str, gone: threading.Event | None = None
) -> tuple[str, ...]:
    """Write a run's annotated video (`.mp4`) or contact sheet (`.png`). Returns what is different.

    Args:
        gone: set once nobody waits for it any more: the process ends then.

    Raises:
        PoselineError: as `preview_run`; or the process ended by itself.
        Abandoned: nobody waits.
    """
    request = {"settings": system.settings.handed_on(), "run_id": str(run_id), "to": str(to), "team": team}
    told = json.loads(_answer(json.dumps(request).encode(), gone or threading.Event()))
    if "error" in told:
        kind = getattr(errors, told["error"], None)
        raise (kind if isinstance(kind, type) and issubclass(kind, PoselineError) else PoselineError)(told["message"])
    return tuple(told["notes"])


def _answer(request: bytes, gone: threading.Event) -> bytes:
    """What the process says to a request."""
    command = [sys.executable, "-m", _MODULE, str(os.getpid())]
    until = time.monotonic() + _LONGEST_S
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as drawing:
        try:
            sent: bytes | None = request
            while True:
                try:
                    said, _ = drawing.communicate(sent, timeout=_LOOK_S)
                    break
                except subprocess.TimeoutExpired:
                    sent = None
                if gone.is_set():
                    raise Abandoned
                if time.monotonic() > until:
                    raise PoselineError(f"drawing took longer than {_LONGEST_S / 3600:.0f} h and was ended")
        finally:
            drawing.kill()
    if drawing.returncode != 0:
        raise PoselineError("drawing broke off; the log of the pages says why")
    return said
