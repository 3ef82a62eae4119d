"""Commands to the supervisor, by files in the home and by signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.errors import StackError
from pipeline.local.health import accepts_objects, is_healthy
from pipeline.local.home import PROCESSES, SERVERS, TITLES, Home, Stack
from pipeline.local.state import DesiredState, State, supervisor

_START_TIMEOUT_S = 60.0
_DEATHS_ALLOWED = 2
_OLD_S = 120.0  # it ran before this `up`


class SupervisorHung(StackError):
    """The supervisor does not respond; run `poseline down`, then `poseline up`."""


def request_services(home: Home, desired: DesiredState, names: Iterable[str]) -> DesiredState:
    """Add services to the desired state and wait until the supervisor has taken it up. Returns the new one.

    The supervisor stops a service first whose options change.

    Raises:
        StackError: the supervisor ended.
        SupervisorHung: it does not take it up.
    """
    together = {*desired.services, *names}
    desired = replace(desired, services=tuple(name for name in SERVERS + PROCESSES if name in together))
    _hand_over(home, desired)
    return desired


def restart_services(home: Home, desired: DesiredState, processes: Mapping[str, str]) -> DesiredState:
    """Have services killed and started again, given by the start ids of their processes. Returns the new state.

    Raises:
        StackError: the supervisor ended.
        SupervisorHung: it does not take it up.
    """
    desired = replace(desired, restart=dict(processes))
    _hand_over(home, desired)
    return desired


def _hand_over(home: Home, desired: DesiredState) -> None:
    desired.write(home)
    process = supervisor(home)
    if process is None:
        raise _supervisor_ended(home)
    process.send(signal.SIGHUP)
    latest = home.fingerprint()
    deadline = time.monotonic() + _START_TIMEOUT_S
    while State.read(home).seen != latest:
        if time.monotonic() > deadline:  # for instance, it is an older version's
            raise SupervisorHung
        if not process.alive:
            raise _supervisor_ended(home)
        time.sleep(0.01)


def launch(home: Home) -> None:
    """Start the supervisor, detached, and wait until it handles signals.

    Raises:
        StackError: it did not start.
    """
    home.state_file.unlink(missing_ok=True)
    log = os.open(home.log("supervisor"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        subprocess.run(
            [sys.executable, "-m", "pipeline.local.supervisor", str(home.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(log)
    deadline = time.monotonic() + 10.0
    while supervisor(home) is None:
        if time.monotonic() > deadline:
            raise StackError(f"the supervisor did not start: {last_line(home.log('supervisor'))}")
        time.sleep(0.01)


def wait_healthy(home: Home, stack: Stack, names: Iterable[str]) -> None:
    """Wait until all of these services answer.

    Raises:
        StackError: one of them keeps ending or does not answer in time.
    """
    pending = list(names)
    deadline = time.monotonic() + _START_TIMEOUT_S
    earlier = {name: service.deaths for name, service in State.read(home).services.items()}
    while pending:
        state = State.read(home)
        for name in tuple(pending):
            service = state.services.get(name)
            process = service.process if service else None
            ready = process is not None and is_healthy(name, stack, process.pid)
            if ready and (name != "seaweedfs" or accepts_objects(stack)):
                pending.remove(name)
            elif (service and service.deaths - earlier.get(name, 0) > _DEATHS_ALLOWED) or time.monotonic() > deadline:
                reason = (service and service.detail) or f"no answer in {_START_TIMEOUT_S:.0f} s"
                line = last_line(home.log(name))
                lives = service is not None and not service.deaths and time.time() - service.started_at > _OLD_S
                title, see = TITLES.get(name, name), f"see {home.log(name)}"
                if lives:  # busy for long, or of an older version
                    raise StackError(f"{title} does not answer: run `poseline down`, then `poseline up`; {see}")
                raise StackError(f"{title} did not start ({reason}): {line}; {see}")
        if supervisor(home) is None:
            raise _supervisor_ended(home)
        time.sleep(0.05 if pending else 0)


def last_line(log: Path) -> str:
    """The last line of a log that reports an error, or else the last line."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace")[-8000:].splitlines() if line.strip()][-20:]
    except OSError:
        return "no log"
    errors = [line for line in lines if "FATAL" in line or "PANIC" in line or "rror:" in line]
    return (errors or lines or ["the log is empty"])[-1]


def _supervisor_ended(home: Home) -> StackError:
    return StackError(f"the supervisor ended: {last_line(home.log('supervisor'))}")
