"""The files by which commands and the supervisor talk: `run/wanted.json` and `run/state.json`.

A file may come from another version: unknown fields are ignored, missing ones get their default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pipeline.core.files import write_atomically
from pipeline.errors import StackError
from pipeline.local.home import Home
from pipeline.local.processes import Process


@dataclass(frozen=True)
class DesiredState:
    """What the supervisor should run.

    Args:
        services: by name.
        slots, device: of the worker.
        restart: the processes to be killed and started again, by service: their start id, "" for one that has ended.
    """

    services: tuple[str, ...]
    slots: int
    device: str = "auto"
    restart: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, home: Home) -> DesiredState:
        """Raises: StackError: there is none, because the stack was stopped."""
        try:
            found = json.loads(home.desired_state_file.read_text())
        except FileNotFoundError:
            raise StackError("the stack is stopping; try again in a few seconds") from None
        return cls(tuple(found["services"]), found["slots"], found.get("device", cls.device), found.get("restart", {}))

    def write(self, home: Home) -> None:
        """Replace the file; the supervisor reads it at its next tick or SIGHUP."""
        write_atomically(home.desired_state_file, json.dumps(asdict(self)), private=True)


@dataclass(frozen=True)
class ServiceState:
    """A service as the supervisor last wrote it down; its process may have ended since.

    Args:
        process: None while it is not running.
        started_at: Unix time of its last start.
        deaths: how often it ended since it last ran for long.
        detail: how it last ended.
    """

    process: Process | None
    started_at: float = 0.0
    deaths: int = 0
    detail: str = ""


@dataclass(frozen=True)
class State:
    """What the supervisor last wrote down; it may have ended since.

    Args:
        seen: fingerprint of the desired state that it has taken up; see `Home.fingerprint`.
    """

    supervisor: Process | None
    services: Mapping[str, ServiceState]
    seen: str = ""

    @classmethod
    def read(cls, home: Home) -> State:
        """An empty state where no supervisor of this home has written one: a copied home has that of the original."""
        try:
            found: dict[str, Any] = json.loads(home.state_file.read_text())
        except (FileNotFoundError, ValueError):
            return cls(None, {})
        process = _process(found.get("supervisor", {}))
        written_for = found.get("home") or (process and process.alive and _supervised_by(process.pid))
        if written_for and not home.was_at(Path(written_for)):
            return cls(None, {})
        services = {
            name: ServiceState(
                _process(fields), fields.get("started_at", 0.0), fields.get("deaths", 0), fields.get("detail", "")
            )
            for name, fields in found.get("services", {}).items()
        }
        return cls(process, services, found.get("seen", ""))

    def write(self, home: Home) -> None:
        """Raises: FileNotFoundError: the home is gone."""
        services = {
            name: {
                **_to_dict(service.process),
                "started_at": service.started_at,
                "deaths": service.deaths,
                "detail": service.detail,
            }
            for name, service in self.services.items()
        }
        state = {
            "home": str(home.path),
            "seen": self.seen,
            "supervisor": _to_dict(self.supervisor),
            "services": services,
        }
        write_atomically(home.state_file, json.dumps(state), private=True)

    @property
    def live_supervisor(self) -> Process | None:
        """The supervisor, if it still runs."""
        return self.supervisor if self.supervisor is not None and self.supervisor.alive else None

    @property
    def processes(self) -> dict[str, Process]:
        """The services' processes, running or not."""
        return {name: service.process for name, service in self.services.items() if service.process is not None}


def _to_dict(process: Process | None) -> dict[str, Any]:
    return {"pid": process and process.pid, "start_id": process and process.start_id}


def _supervised_by(pid: int) -> str | None:
    """The home of a supervisor, by its arguments: earlier versions did not write it down."""
    try:
        arguments = psutil.Process(pid).cmdline()
    except psutil.Error:
        return None
    return arguments[-1] if "pipeline.local.supervisor" in arguments else None


def _process(fields: Mapping[str, Any]) -> Process | None:
    # Earlier versions called the start_id "birth".
    pid, start_id = fields.get("pid"), fields.get("start_id") or fields.get("birth")
    return Process(pid, start_id) if pid and start_id else None


def supervisor(home: Home) -> Process | None:
    """The supervisor of a home, if one runs."""
    return State.read(home).live_supervisor
