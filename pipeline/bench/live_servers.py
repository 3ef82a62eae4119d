"""The pages' server and a live process in the private stack, for the benchmark of live sessions."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.bench.context import Engine
from pipeline.bench.figures import BenchFailed
from pipeline.bench.private_stack import PrivateStack
from pipeline.core.roles import Role
from pipeline.local import ports
from pipeline.local.control import last_line
from pipeline.local.processes import signal_group
from pipeline.local.rootless import die_with_parent
from pipeline.local.servers import own_marks
from pipeline.remote.live_door import Way
from pipeline.services.accounts.operate import add_key
from pipeline.services.live.processes import list_processes
from pipeline.services.system import System
from pipeline.services.teams import DEFAULT_TEAM, require_team, team_id_of

_START_S = 180.0
_STOP_S = 20.0
_CONNECT_S = 1.0
#: Nobody is refused or degraded for what a frame takes, which is the question; 5 frames a second each are needed still.
_BUDGET_MS = 600_000


@dataclass(frozen=True)
class LiveServers:
    """Where the measured sessions go.

    Args:
        web_port: of the pages' server, on loopback.
        path: of the WebSocket.
        key: that lets a session in.
    """

    web_port: int
    path: str
    key: str

    def way(self, port: int) -> Way:
        """The way there through a port that leads to the pages' server."""
        return Way(f"ws://127.0.0.1:{port}{self.path}", {"Authorization": f"Bearer {self.key}"})


@contextmanager
def open_live_servers(
    stack: PrivateStack, engine: Engine, key: tuple[str, str], sessions: int
) -> Iterator[LiveServers]:
    """Start both, and stop them after the block.

    Args:
        key: the path of the team's WebSocket and a key, from `make_live_key`.
        sessions: that the team may have at once.

    Raises:
        BenchFailed: one did not start.
    """
    web_port = ports.choose([])
    live_port = ports.choose([web_port])
    started: list[tuple[subprocess.Popen[bytes], Path]] = []
    try:
        started.append(_start(stack, ("web", "--port", str(web_port)), POSELINE_LIVE_SESSIONS_PER_TEAM=str(sessions)))
        live = ("live", "--port", str(live_port), "--device", engine.device, "--name", f"bench-{live_port}")
        started.append(_start(stack, live, POSELINE_LIVE_MODEL=engine.model, POSELINE_LIVE_BUDGET_MS=str(_BUDGET_MS)))
        path, secret = key
        _wait_ready(stack.system, web_port, live_port, started)
        yield LiveServers(web_port, path, secret)
        for process, _ in started:
            process.terminate()
        for process, _ in started:
            process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        for process, _ in started:
            signal_group(process.pid, signal.SIGKILL)
            process.wait()


def make_live_key(system: System) -> tuple[str, str]:
    """The path of the WebSocket of a team, and a key of it."""
    require_team(system, DEFAULT_TEAM)
    _, secret = add_key(system, DEFAULT_TEAM, "bench", role=Role.COACH, expires_in_days=1)
    return f"/api/v1/teams/{team_id_of(system, DEFAULT_TEAM)}/live", secret


def _start(stack: PrivateStack, args: tuple[str, ...], **more: str) -> tuple[subprocess.Popen[bytes], Path]:
    log = stack.home.log(f"bench-{args[0]}")
    own = {name: value for name, value in os.environ.items() if name not in stack.stack.env}
    marks = own_marks(stack.home, stack.stack)
    models = {"POSELINE_MODELS_DIR": str(stack.models_path.resolve())}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli.main", "--home", str(stack.home.path), *args],
            env={**own, **marks, **models, **more},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C goes to this process, which then stops them
            preexec_fn=lambda: die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one call into libc
        )
    return process, log


def _wait_ready(
    system: System, web_port: int, live_port: int, started: list[tuple[subprocess.Popen[bytes], Path]]
) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        for process, log in started:
            if process.poll() is not None:
                raise BenchFailed(f"a server did not start: {last_line(log)}")
        if _listens(web_port) and any(row.url.endswith(f":{live_port}") for row in list_processes(system)):
            return
        if time.monotonic() > deadline:
            raise BenchFailed(f"the servers did not start in {_START_S:g} s: {last_line(started[-1][1])}")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), _CONNECT_S).close()
    except OSError:
        return False
    return True
