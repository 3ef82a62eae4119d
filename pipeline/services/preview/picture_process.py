"""The process in which small pictures are drawn: `python -m pipeline.services.preview.picture_process PARENT_PID`.

It reads what to draw from its standard input, a line of JSON each, and answers on its standard output as
`services.picture_drawers` says.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import UUID

from pipeline.errors import PoselineError
from pipeline.logs import get_logger
from pipeline.services.child import begin_child
from pipeline.services.picture_drawers import HEAD
from pipeline.services.preview.request import draw_thumbnail, draw_video_still
from pipeline.services.system import System, build_system
from pipeline.settings import Settings

log = get_logger(__name__)


def main(parent_pid: int) -> None:
    """Draw until there is nothing more to read."""
    begin_child(parent_pid)
    settings: dict[str, Any] | None = None
    system: System | None = None
    answers = sys.stdout.buffer
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if system is None or request["settings"] != settings:
            settings = request["settings"]
            system = build_system(Settings.received(request["settings"]), pool_size=1)
        try:
            is_picture, body = True, _draw(system, request)
        except PoselineError as error:
            is_picture, body = False, json.dumps({"error": type(error).__name__, "message": error.message}).encode()
        system.engine.dispose()  # while it waits it holds nothing of the servers
        answers.write(HEAD.pack(is_picture, len(body)) + body)
        answers.flush()


def _draw(system: System, request: dict[str, Any]) -> bytes:
    team = request["team"]
    if request["run_id"] is not None:
        return draw_thumbnail(system, UUID(request["run_id"]), team=team)
    return draw_video_still(system, UUID(request["video_id"]), team=team)


if __name__ == "__main__":
    main(int(sys.argv[1]))
