"""A preview is drawn as long as somebody waits for it, and no longer."""

from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.core.roles import Role
from pipeline.services.system import System
from tests.support.analysis import analyse
from tests.support.harness import wait_until
from tests.support.keys import make_key
from tests.support.web import Client, make_team

_DRAWS = b"pipeline.services.preview.process"


def drawing() -> set[int]:
    """The processes that draw for this one."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # it ended
            for child in (task / "children").read_text().split():
                if _DRAWS in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(int(child))
    return found


def test_drawing_ends_with_its_client_and_the_next_is_served(system: System, origin: str, short_clip: Path) -> None:
    run_id = analyse(system, short_clip, team="club")
    key = make_key(system, "club", Role.VIEWER)
    previews = f"/teams/{make_team(system, 'club')}/runs/{run_id}/previews"
    address = urlsplit(origin)
    with socket.create_connection((address.hostname, address.port)) as first, ThreadPoolExecutor(1) as other:
        first.sendall(
            f"GET /api/v1{previews}/video.mp4 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        )
        (drawn,) = wait_until(drawing, 20)
        os.kill(drawn, signal.SIGSTOP)  # so it is not just quick
        second = other.submit(Client(origin, key=key).ask, "GET", f"{previews}/sheet.png")
        first.close()
        answer = second.result(30)
    assert (answer.status, answer.data[:4]) == (200, b"\x89PNG")
    assert drawing() == set()
