"""The process that keeps a stack's services running: `python -m pipeline.local.supervisor HOME`.

It runs what `run/wanted.json` names and writes the current state to `run/state.json`. It does not check whether a
service answers; `pipeline.local.status` does. It stops everything on SIGTERM, or when its home was removed. On a full
disk it goes on, and writes again when there is room.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import PoselineError, StackError
from pipeline.local.home import PROCESSES, Home
from pipeline.local.processes import Process, descendants, process_of, signal_group, wait_gone
from pipeline.local.rootless import die_with_parent
from pipeline.local.servers import ServiceSpec, build_specs
from pipeline.local.state import DesiredState, ServiceState, State

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 10.0
STABLE_S = 30.0  # a child that ran for so long has started; the count of its deaths begins again
MAX_LOG_BYTES = 8 * 2**20
_TICK_S = 1.0


@dataclass
class Child:
    """A service and its current process.

    Args:
        started_at, retry_at: of the monotonic clock; started_unix_s of the wall clock.
    """

    spec: ServiceSpec
    popen: subprocess.Popen[bytes] | None = None
    process: Process | None = None
    started_at: float = 0.0
    started_unix_s: float = 0.0
    deaths: int = 0
    backoff_s: float = FIRST_BACKOFF_S
    retry_at: float = 0.0
    detail: str = ""

    @property
    def state(self) -> ServiceState:
        return ServiceState(self.process, self.started_unix_s, self.deaths, self.detail)


@dataclass
class Supervisor:
    """Owns the children of one home. Single-threaded: PR_SET_PDEATHSIG follows the thread that forked."""

    home: Home
    children: dict[str, Child] = field(default_factory=dict)
    stopping: bool = False
    _seen: str = ""
    _unrecorded: bool = False

    def run(self) -> None:
        wake, poke = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(poke, False)
        signal.set_wakeup_fd(poke, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._request_stop)
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._record()
        try:
            while not self.stopping:
                self._apply_desired_state()
                self._restart_exited()
                self._rotate_logs()
                if self._unrecorded:
                    self._record()
                if not self.stopping:
                    select.select([wake], [], [], _TICK_S)
                    while select.select([wake], [], [], 0)[0]:
                        os.read(wake, 4096)
        finally:
            self._stop(self.children)

    def _request_stop(self, *_: object) -> None:
        self.stopping = True

    def _apply_desired_state(self) -> None:
        """Take up a changed desired state or stack; stop what is no longer in it, or has changed."""
        try:
            seen = self.home.fingerprint()
        except FileNotFoundError:
            _log("the home is gone: stopping")
            self.stopping = True
            return
        if seen == self._seen:
            return
        stack = self.home.read_stack()
        assert stack is not None
        desired = DesiredState.read(self.home)
        worker_options = ("--slots", str(desired.slots), "--device", desired.device)
        specs = build_specs(self.home, stack, desired.services, worker_options)
        new = {spec.name: spec for spec in specs}
        self._stop(name for name, child in self.children.items() if new.get(name) != child.spec)
        kept = {name: child for name, child in self.children.items() if new.get(name) == child.spec}
        self.children = {name: kept.get(name) or Child(spec) for name, spec in new.items()}
        for name, start_id in desired.restart.items():
            child = self.children.get(name)
            if child is not None and start_id == (child.process.start_id if child.process else ""):
                self._kill(child)
                self.children[name] = Child(child.spec)
        self._seen = seen
        self._record()

    def _restart_exited(self) -> None:
        """Record the children that ended and start those whose retry time has come."""
        changed = False
        now = time.monotonic()
        for child in self.children.values():
            if child.popen is not None and (code := child.popen.poll()) is not None:
                self._handle_exit(child, code, now)
                changed = True
            if child.popen is None and now >= child.retry_at:
                self._start(child, now)
                changed = True
        if changed:
            self._record()

    def _handle_exit(self, child: Child, code: int, now: float) -> None:
        assert child.popen is not None
        if child.spec.name in PROCESSES:
            signal_group(child.popen.pid, signal.SIGKILL)
        if now - child.started_at >= STABLE_S:
            child.backoff_s = FIRST_BACKOFF_S
            child.deaths = 0
        child.deaths += 1
        child.retry_at = now + child.backoff_s
        child.backoff_s = min(child.backoff_s * 2, LONGEST_BACKOFF_S)
        child.detail = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        child.popen = child.process = None
        _log(f"{child.spec.name} {child.detail}")

    def _start(self, child: Child, now: float) -> None:
        spec = child.spec
        parent_death = signal.SIGINT if spec.name == "postgres" else signal.SIGTERM
        child.started_at, child.started_unix_s = now, time.time()
        try:
            log = _open_log(self.home.log(spec.name))
            try:
                child.popen = subprocess.Popen(
                    spec.argv,
                    cwd=spec.cwd,
                    env=spec.env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    umask=-1 if spec.name in PROCESSES else 0o077,
                    preexec_fn=lambda: die_with_parent(parent_death),  # noqa: PLW1509 - one thread, no locks held
                )
            finally:
                os.close(log)
        except OSError as error:
            child.deaths += 1
            child.detail = f"cannot be started: {error.strerror}"
            child.retry_at = now + LONGEST_BACKOFF_S
            return
        child.process = process_of(child.popen.pid)

    def _stop(self, names: Iterable[str]) -> None:
        """Stop Poseline's processes together, then the servers one by one in reverse starting order."""
        living = [self.children[name] for name in names if self.children[name].popen is not None]
        groups = [[c for c in living if c.spec.name in PROCESSES]]
        groups += [[c] for c in reversed(living) if c.spec.name not in PROCESSES]
        for group in groups:
            for child in group:
                assert child.popen is not None
                child.popen.send_signal(child.spec.stop_signal)
            signalled_at = time.monotonic()
            for child in group:
                assert child.popen is not None
                try:
                    child.popen.wait(max(0.0, signalled_at + child.spec.grace_s - time.monotonic()))
                except subprocess.TimeoutExpired:
                    signal_group(child.popen.pid, signal.SIGKILL)
                    child.popen.wait()
                if child.spec.name in PROCESSES:
                    signal_group(child.popen.pid, signal.SIGKILL)
                child.popen = child.process = None
            self._record()

    def _kill(self, child: Child) -> None:
        """Kill a hung service with all its processes: Postgres does not start while one of them lives."""
        if child.popen is None:
            return
        family = [process_of(each.pid) for each in descendants(child.popen.pid)]
        child.popen.kill()
        for process in filter(None, family):
            with suppress(StackError):  # another user's
                process.send(signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # the kernel may hold it, as on a disk that does not answer
            child.popen.wait(10.0)
        wait_gone(filter(None, family), 5.0)
        _log(f"{child.spec.name} was hung, and is started again")

    def _record(self) -> None:
        state = State(process_of(os.getpid()), {name: child.state for name, child in self.children.items()}, self._seen)
        try:
            state.write(self.home)
        except FileNotFoundError:
            self.stopping = True
        except OSError as error:
            if not self._unrecorded:
                _log(f"the state cannot be written: {error.strerror}")
            self._unrecorded = True
        else:
            self._unrecorded = False

    def _rotate_logs(self) -> None:
        """Copy a log over the limit aside and empty it. Its writer appends, so it need not open it again.

        On a full disk it stays as it is until there is room.
        """
        for log in (self.home.path / "logs").glob("*.log"):
            with suppress(OSError):
                if log.stat().st_size <= MAX_LOG_BYTES:
                    continue
                try:
                    shutil.copyfile(log, log.with_suffix(".log.1"))
                except OSError:
                    log.with_suffix(".log.1").unlink(missing_ok=True)
                    raise
                os.truncate(log, 0)


def _open_log(path: Path) -> int:
    """A log to append to; the null device where it cannot be made, because a service matters more than its log."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        _log(f"{path.name} cannot be written: {error.strerror}")
        return os.open(os.devnull, os.O_WRONLY)


def _log(line: str) -> None:
    """Add a line to the supervisor's log, which is its stdout, if there is room."""
    with suppress(OSError):
        os.write(1, f"{line}\n".encode())


def main() -> None:
    home = Home(Path(sys.argv[1]))
    # Double fork: the caller waits for the first process; the second is detached and outlives it.
    if os.fork():
        os._exit(0)
    os.setsid()
    # Held until it ends: an `up` that was killed may have left a supervisor that has written no state yet.
    lock = os.open(home.path / "run" / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(0) from None
    supervisor = Supervisor(home)
    try:
        supervisor.run()
    except PoselineError as error:
        _log(error.message)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
