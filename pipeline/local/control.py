"""Talking to the supervisor: by files in the home, and by signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.files import write_atomically
from pipeline.errors import StackError
from pipeline.local.health import is_healthy, takes_objects
from pipeline.local.home import PROCESSES, SERVERS, TITLES, Home, Stack
from pipeline.local.processes import Process

_START_TIMEOUT_S = 60.0
_DEATHS_ALLOWED = 2


def record(home: Home) -> dict[str, Any]:
    """What the supervisor last wrote down; it may be long dead."""
    try:
        found: dict[str, Any] = json.loads(home.state_file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def supervisor(home: Home) -> Process | None:
    facts = record(home).get("supervisor")
    process = Process(facts["pid"], facts["start_id"]) if facts else None
    return process if process is not None and process.alive else None


def recorded(home: Home) -> dict[str, Process]:
    """The services' processes as last written down, dead or alive."""
    known = record(home).get("services", {})
    return {name: Process(f["pid"], f["start_id"]) for name, f in known.items() if f["pid"] and f["start_id"]}


@dataclass(frozen=True)
class DesiredState:
    """What the supervisor shall run."""

    services: tuple[str, ...]
    slots: int
    device: str = "auto"

    @classmethod
    def of(cls, home: Home) -> DesiredState:
        try:
            found = json.loads(home.wanted_file.read_text())
        except FileNotFoundError:
            raise StackError("the stack is stopping on its own; try again in a few seconds") from None
        return cls(tuple(found["services"]), found["slots"], found.get("device", "auto"))

    def plus(self, home: Home, names: Iterable[str]) -> DesiredState:
        """Ask the supervisor for more and wait until it has taken that up; what changes, it stops first."""
        together = {*self.services, *names}
        wish = DesiredState(tuple(n for n in SERVERS + PROCESSES if n in together), self.slots, self.device)
        wish.write(home)
        boss = supervisor(home)
        if boss is None:
            raise StackError(f"the supervisor ended: {last_line(home.log('supervisor'))}")
        boss.send(signal.SIGHUP)
        latest = home.fingerprint()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while record(home).get("seen") != latest:
            if time.monotonic() > deadline:  # for instance, it is an older version's
                raise StackError("the supervisor does not follow; run `poseline down`, then `poseline up`")
            if not boss.alive:
                raise StackError(f"the supervisor ended: {last_line(home.log('supervisor'))}")
            time.sleep(0.01)
        return wish

    def write(self, home: Home) -> None:
        facts = {"services": self.services, "slots": self.slots, "device": self.device}
        write_atomically(home.wanted_file, json.dumps(facts), private=True)


def launch(home: Home) -> None:
    """Start the supervisor as nobody's child and wait until it listens to signals."""
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
    """Raises: StackError: one of them keeps dying or does not answer in time."""
    pending = list(names)
    deadline = time.monotonic() + _START_TIMEOUT_S
    while pending:
        services = record(home).get("services", {})
        for name in tuple(pending):
            facts = services.get(name, {})
            ready = facts.get("pid") and is_healthy(name, stack, facts["pid"])
            if ready and (name != "seaweedfs" or takes_objects(stack)):
                pending.remove(name)
            elif facts.get("deaths", 0) > _DEATHS_ALLOWED or time.monotonic() > deadline:
                reason = facts.get("detail") or f"no answer in {_START_TIMEOUT_S:.0f} s"
                line = last_line(home.log(name))
                raise StackError(f"{TITLES.get(name, name)} did not start ({reason}): {line}; see {home.log(name)}")
        if supervisor(home) is None:
            raise StackError(f"the supervisor ended: {last_line(home.log('supervisor'))}")
        time.sleep(0.05 if pending else 0)


def last_line(log: Path) -> str:
    """The line of a log that tells most about an end."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace")[-8000:].splitlines() if line.strip()][-20:]
    except OSError:
        return "no log"
    grave = [line for line in lines if "FATAL" in line or "PANIC" in line or "rror:" in line]
    return (grave or lines or ["the log is empty"])[-1]
