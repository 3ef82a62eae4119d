"""Work on one run in a process of its own: processor and memory, up to 190 MiB for drawing, are given back with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline import errors
from pipeline.errors import Abandoned, PoselineError
from pipeline.services.system import System

#: As long as who asked waits.
_LONGEST_S = 6 * 3600.0
_LOOK_S = 0.1
_MODULE = "pipeline.services.apart_process"


def draw_apart(system: System, run_id: UUID, to: Path, *, team: str, gone: threading.Event) -> tuple[str, ...]:
    """Write a run's annotated video (`.mp4`) or contact sheet (`.png`). Returns what is different.

    Args:
        gone: set once nobody waits for it any more: the process ends then.

    Raises:
        PoselineError: as `preview_run`; or the process ended by itself.
        Abandoned: nobody waits.
    """
    return tuple(_do(system, {"work": "preview", "run_id": str(run_id), "to": str(to), "team": team}, gone))


def verify_apart(system: System, run_id: UUID, *, gone: threading.Event) -> dict[str, Any]:
    """Compare a done run with its video as stored now. Returns the verdict as JSON fields.

    Args:
        gone: as for `draw_apart`.

    Raises:
        PoselineError: as `verify_run`; or the process ended by itself.
        Abandoned: nobody waits.
    """
    return dict(_do(system, {"work": "verify", "run_id": str(run_id)}, gone))


def _do(system: System, request: dict[str, str], gone: threading.Event) -> Any:
    told = json.loads(_answer(json.dumps({"settings": system.settings.handed_on(), **request}).encode(), gone))
    if "error" in told:
        kind = getattr(errors, told["error"], None)
        raise (kind if isinstance(kind, type) and issubclass(kind, PoselineError) else PoselineError)(told["message"])
    return told["done"]


def _answer(request: bytes, gone: threading.Event) -> bytes:
    """What the process says to a request."""
    command = [sys.executable, "-m", _MODULE, str(os.getpid())]
    until = time.monotonic() + _LONGEST_S
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as working:
        try:
            sent: bytes | None = request
            while True:
                try:
                    said, _ = working.communicate(sent, timeout=_LOOK_S)
                    break
                except subprocess.TimeoutExpired:
                    sent = None
                if gone.is_set():
                    raise Abandoned
                if time.monotonic() > until:
                    raise PoselineError(f"it took longer than {_LONGEST_S / 3600:.0f} h and was ended")
        finally:
            working.kill()
    if working.returncode != 0:
        raise PoselineError("it broke off; the log of the pages says why")
    return said
