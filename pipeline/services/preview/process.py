"""The process in which a preview is drawn: `python -m pipeline.services.preview.process PARENT_PID`.

It reads what to draw from its standard input, and says on its standard output how that went.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline.errors import PoselineError
from pipeline.logs import configure_logs
from pipeline.services.preview.request import preview_run
from pipeline.services.system import build_system
from pipeline.settings import Settings
from pipeline.video.lockdown import die_with_parent


def main(parent_pid: int) -> None:
    """Draw one preview."""
    die_with_parent(parent_pid)
    configure_logs(os.environ.get("POSELINE_LOG_LEVEL", "INFO"), as_json=os.environ.get("POSELINE_LOG_JSON") == "1")
    request = json.load(sys.stdin)
    try:
        told: dict[str, Any] = {"notes": _draw(request)}
    except PoselineError as error:
        told = {"error": type(error).__name__, "message": error.message}
    json.dump(told, sys.stdout)


def _draw(request: dict[str, Any]) -> tuple[str, ...]:
    run_id, to, team = UUID(request["run_id"]), Path(request["to"]), request["team"]
    with closing(build_system(Settings.received(request["settings"]))) as system:
        return preview_run(system, run_id, to, team=team).notes


if __name__ == "__main__":
    main(int(sys.argv[1]))
