"""The process of one piece of work: `python -m pipeline.services.apart_process PARENT_PID`.

It reads what to do from its standard input, and says on its standard output how that went.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline.errors import PoselineError
from pipeline.services.child import begin_child
from pipeline.services.preview.request import preview_run
from pipeline.services.system import System, build_system
from pipeline.services.verify import verify_run
from pipeline.settings import Settings


def main(parent_pid: int) -> None:
    """Do one piece of work."""
    begin_child(parent_pid)
    request = json.load(sys.stdin)
    try:
        with closing(build_system(Settings.received(request["settings"]))) as system:
            told: dict[str, Any] = {"done": _do(system, request)}
    except PoselineError as error:
        told = {"error": type(error).__name__, "message": error.message}
    json.dump(told, sys.stdout)


def _do(system: System, request: dict[str, Any]) -> Any:
    run_id = UUID(request["run_id"])
    if request["work"] == "verify":
        return verify_run(system, run_id).to_dict()
    return preview_run(system, run_id, Path(request["to"]), team=request["team"]).notes


if __name__ == "__main__":
    main(int(sys.argv[1]))
