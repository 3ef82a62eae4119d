"""Identify processes by pid and start, and end those of a stack.

A pid alone is reused, at the latest after a reboot; a pid with its start identifies one process. The start is
the boot id with the clock ticks since boot: psutil's `create_time` changes when the wall clock is set. Where there is
no /proc, it is `create_time`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.errors import StackError
from pipeline.local.home import SERVERS, Home, Stack
from pipeline.local.servers import HOME_VARIABLE, STACK_ID_VARIABLE

_PROC = Path("/proc/self")
_EXECUTABLES = {"postgres": "postgres", "valkey": "valkey-server", "seaweedfs": "weed"}


@dataclass(frozen=True)
class Process:
    """One process; a later one with the same pid is not it."""

    pid: int
    start_id: str

    @property
    def alive(self) -> bool:
        return start_id_of(self.pid) == self.start_id

    def send(self, number: int) -> None:
        """Send a signal, if it is still alive.

        Raises:
            StackError: it belongs to another user.
        """
        if not self.alive:
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise StackError(f"process {self.pid} was started by another user; stop the stack as that user") from error


def start_id_of(pid: int) -> str | None:
    """The start of the process with this pid; None if there is none, or only a zombie.

    One whose first thread has ended is not gone yet: the others may still hold its ports and its memory.
    """
    if _PROC.is_dir():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        # proc(5): the command in brackets may hold blanks and brackets; state is field 3, threads 20, starttime 22.
        rest = stat.rpartition(")")[2].split()
        return None if rest[0] in "ZX" and int(rest[17]) <= 1 else f"{boot}:{rest[19]}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def process_of(pid: int) -> Process | None:
    start_id = start_id_of(pid)
    return None if start_id is None else Process(pid, start_id)


def descendants(pid: int) -> list[psutil.Process]:
    """The processes that this one started, and theirs."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def signal_group(leader_pid: int, number: int) -> None:
    """Send a signal to a child's process group, if any of it is left."""
    try:
        os.killpg(leader_pid, number)
    except (ProcessLookupError, PermissionError):
        return


def iter_stack_processes(
    home: Home, stack: Stack, recorded: Iterable[tuple[str, Process]]
) -> Iterable[tuple[str, Process]]:
    """Every live process of this stack, recorded or not, with its service's name ("" for Poseline's own).

    A server is recognised by its program and working directory (Postgres and Valkey overwrite their environment
    with a title), Poseline's own by the stack's id in their environment and by the home that they name: a copied home
    has the id of the original. `recorded` is needed too: root without CAP_SYS_PTRACE, as in Docker, cannot inspect
    Postgres's processes.
    """
    yield from ((name, process) for name, process in recorded if process.alive)
    directories = {str(home.data(name)): name for name in SERVERS}
    for found in psutil.process_iter():
        try:
            program = Path(found.exe()).name
            server = directories.get(found.cwd())
            if server is not None and program == _EXECUTABLES[server]:
                name = server
            elif found.pid != os.getpid() and _is_of(found, home, stack):
                name = server or ""
            else:
                continue
        except (psutil.Error, OSError):
            continue
        process = process_of(found.pid)
        if process is not None:
            yield name, process


def _is_of(found: psutil.Process, home: Home, stack: Stack) -> bool:
    """Whether a process was started for this home. One of an earlier version names it by `--home` or runs below it."""
    environment = found.environ()
    if environment.get(STACK_ID_VARIABLE) != stack.stack_id:
        return False
    arguments = found.cmdline()
    option = arguments[arguments.index("--home") + 1 :][:1] if "--home" in arguments else []
    named = Path(option[0] if option else environment.get(HOME_VARIABLE, ""))
    if named.is_absolute():
        return home.was_at(named)
    return home.path in (where := Path(found.cwd())).parents or where == home.path


def wait_gone(processes: Iterable[Process], timeout_s: float) -> list[Process]:
    """Wait for processes to end. Returns those that still live after the timeout."""
    deadline = time.monotonic() + timeout_s
    left = [p for p in processes if p.alive]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [p for p in left if p.alive]
    return left


def end_stack_processes(find: Callable[[], Iterable[tuple[str, Process]]]) -> None:
    """End every process that `find` returns: Poseline's own first, then the servers, Postgres last.

    Raises:
        StackError: one does not end.
    """
    steps = (
        ("", signal.SIGTERM, 10.0),
        ("seaweedfs", signal.SIGTERM, 0.5),
        ("valkey", signal.SIGTERM, 10.0),
        ("postgres", signal.SIGINT, 20.0),
    )
    for name, number, grace_s in steps:
        mine = [process for service, process in find() if service == name]
        for process in mine:
            process.send(number)
        for process in wait_gone(mine, grace_s):
            process.send(signal.SIGKILL)
        if left := wait_gone(mine, 10.0):
            raise StackError(f"process {left[0].pid} does not end, not even by SIGKILL; see `ps -fp {left[0].pid}`")
