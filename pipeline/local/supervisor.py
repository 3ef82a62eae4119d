"""The process that keeps a stack's services running: `python -m pipeline.local.supervisor HOME`.

It does what `run/wanted.json` says, writes what is so to `run/state.json`, and never talks to a server: whether
one is healthy is asked by whoever wants to know. It stops everything when it gets SIGTERM, or when its home
has been removed.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core.files import write_atomically
from pipeline.errors import PoselineError
from pipeline.local.home import PROCESSES, Home
from pipeline.local.processes import signal_group, start_id_of
from pipeline.local.rootless import die_with_parent
from pipeline.local.servers import Spec, build_specs

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 10.0
SETTLED_S = 30.0  # a child that lived for so long has started well
MAX_LOG_BYTES = 8 * 2**20
_TICK_S = 1.0


@dataclass
class Child:
    """A service, and the process that it is at the moment."""

    spec: Spec
    popen: subprocess.Popen[bytes] | None = None
    start_id: str | None = None
    started_at: float = 0.0
    born_at: float = 0.0
    deaths: int = 0
    backoff_s: float = FIRST_BACKOFF_S
    retry_at: float = 0.0
    detail: str = ""

    def facts(self) -> dict[str, Any]:
        return {
            "pid": self.popen.pid if self.popen else None,
            "start_id": self.start_id,
            "port": self.spec.port,
            "started_at": self.born_at,
            "deaths": self.deaths,
            "detail": self.detail,
        }


@dataclass
class Supervisor:
    """Owns the children of one home. Single-threaded: PR_SET_PDEATHSIG follows the thread that forked."""

    home: Home
    children: dict[str, Child] = field(default_factory=dict)
    leaving: bool = False
    _seen: str = ""

    def run(self) -> None:
        wake, poke = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(poke, False)
        signal.set_wakeup_fd(poke, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._leave)
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._record()
        try:
            while not self.leaving:
                self._apply_desired_state()
                self._restart_exited()
                self._bound_logs()
                if not self.leaving:
                    select.select([wake], [], [], _TICK_S)
                    while select.select([wake], [], [], 0)[0]:
                        os.read(wake, 4096)
        finally:
            self._stop(self.children)

    def _leave(self, *_: object) -> None:
        self.leaving = True

    def _apply_desired_state(self) -> None:
        """Take up `wanted.json` if it or the stack changed; stop what is not wanted, or not as it is."""
        try:
            seen = self.home.fingerprint()
        except FileNotFoundError:
            print("the home is gone: stopping", flush=True)  # noqa: T201 - stdout is the supervisor's log
            self.leaving = True
            return
        if seen == self._seen:
            return
        stack = self.home.read_stack()
        assert stack is not None
        wish = json.loads(self.home.wanted_file.read_text())
        worker = ("--slots", str(wish["slots"]), "--device", wish.get("device", "auto"))
        specs = build_specs(self.home, stack, dict.fromkeys(wish["services"], True), worker)
        new = {spec.name: spec for spec in specs}
        self._stop(name for name, child in self.children.items() if new.get(name) != child.spec)
        kept = {name: child for name, child in self.children.items() if new.get(name) == child.spec}
        self.children = {name: kept.get(name) or Child(spec) for name, spec in new.items()}
        self._seen = seen
        self._record()

    def _restart_exited(self) -> None:
        """Take note of the dead and start who is due."""
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
        if now - child.started_at >= SETTLED_S:
            child.backoff_s = FIRST_BACKOFF_S
            child.deaths = 0
        child.deaths += 1
        child.retry_at = now + child.backoff_s
        child.backoff_s = min(child.backoff_s * 2, LONGEST_BACKOFF_S)
        child.detail = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        child.popen = child.start_id = None
        print(f"{child.spec.name} {child.detail}", flush=True)  # noqa: T201 - stdout is the supervisor's log

    def _start(self, child: Child, now: float) -> None:
        spec = child.spec
        parent_death = signal.SIGINT if spec.name == "postgres" else signal.SIGTERM
        child.started_at, child.born_at = now, time.time()
        try:
            log = os.open(self.home.log(spec.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
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
        child.start_id = start_id_of(child.popen.pid)

    def _stop(self, names: Iterable[str]) -> None:
        """Poseline's processes together, then the servers one by one, the last started first."""
        living = [self.children[name] for name in names if self.children[name].popen is not None]
        groups = [[c for c in living if c.spec.name in PROCESSES]]
        groups += [[c] for c in reversed(living) if c.spec.name not in PROCESSES]
        for group in groups:
            for child in group:
                assert child.popen is not None
                child.popen.send_signal(child.spec.stop_signal)
            asked_at = time.monotonic()
            for child in group:
                assert child.popen is not None
                try:
                    child.popen.wait(max(0.0, asked_at + child.spec.grace_s - time.monotonic()))
                except subprocess.TimeoutExpired:
                    signal_group(child.popen.pid, signal.SIGKILL)
                    child.popen.wait()
                if child.spec.name in PROCESSES:
                    signal_group(child.popen.pid, signal.SIGKILL)
                child.popen = child.start_id = None
            self._record()

    def _record(self) -> None:
        state = {
            "seen": self._seen,
            "supervisor": {"pid": os.getpid(), "start_id": start_id_of(os.getpid())},
            "services": {name: child.facts() for name, child in self.children.items()},
        }
        try:
            write_atomically(self.home.state_file, json.dumps(state), private=True)
        except FileNotFoundError:
            self.leaving = True

    def _bound_logs(self) -> None:
        """Move a long log aside. Its writer keeps the file open for appending, so that emptying it is enough."""
        for log in (self.home.path / "logs").glob("*.log"):
            if log.stat().st_size > MAX_LOG_BYTES:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)


def main() -> None:
    home = Home(Path(sys.argv[1]))
    # The caller waits for the first process only; the second one is nobody's child and outlives it.
    if os.fork():
        os._exit(0)
    os.setsid()
    # Held for life: an `up` that was killed half-way may have left a supervisor that nobody knows of yet.
    alone = os.open(home.path / "run" / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(0) from None
    supervisor = Supervisor(home)
    try:
        supervisor.run()
    except PoselineError as error:
        print(error.message, flush=True)  # noqa: T201 - stdout is the supervisor's log
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
