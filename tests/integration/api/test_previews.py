"""A preview is drawn, and a run verified, as long as somebody waits for it, and no longer."""

from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.core.roles import Role
from pipeline.services.system import System
from tests.support.analysis import analyse
from tests.support.harness import wait_until
from tests.support.keys import make_key
from tests.support.web import Client, make_team

_WORKS = b"pipeline.services.apart_process"


def working() -> set[int]:
    """The processes that draw or verify for this one."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # it ended
            for child in (task / "children").read_text().split():
                if _WORKS in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(int(child))
    return found


@pytest.mark.parametrize("asked", ["GET {run}/previews/video.mp4", "POST {run}/verify"])
def test_work_ends_with_its_client_and_the_next_is_served(
    system: System, origin: str, short_clip: Path, asked: str
) -> None:
    run_id = analyse(system, short_clip, team="club")
    key = make_key(system, "club", Role.VIEWER)
    run = f"/teams/{make_team(system, 'club')}/runs/{run_id}"
    address = urlsplit(origin)
    with socket.create_connection((address.hostname, address.port)) as first, ThreadPoolExecutor(1) as other:
        line = f"{asked.format(run=f'/api/v1{run}')} HTTP/1.1"
        first.sendall(f"{line}\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        (busy,) = wait_until(working, 20)
        os.kill(busy, signal.SIGSTOP)  # so it is not just quick
        second = other.submit(Client(origin, key=key).ask, "GET", f"{run}/previews/sheet.png")
        first.close()
        answer = second.result(30)
    assert (answer.status, answer.data[:4]) == (200, b"\x89PNG")
    assert working() == set()
