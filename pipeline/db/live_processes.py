"""Live processes: each reports every two seconds that it is there, how fast it is, and what it has room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.live_protocol import Mode
from pipeline.db.leases import after
from pipeline.db.tables import live_process

REPORT_EVERY_S = 2.0
#: A process that has not reported for so long is gone, or cut off.
ALIVE_S = 10.0
_FORGOTTEN_S = 3600.0


@dataclass(frozen=True)
class LiveProcess:
    """What a process reports.

    Args:
        url: where `poseline web` reaches it, `ws://host:port`.
        machine: the id of this start of its machine.
        call_ms: what a call of the device takes, as measured lately; 0 while the model is not loaded.
        p95_ms: of decoding, waiting and processing in the last seconds; None where nothing was analysed.
        foretold_ms: the same with one more session of every frame.
        room: what it would let in: `preview` is nothing.
        sessions: that are open.
    """

    name: str
    url: str
    machine: str
    pid: int
    version: str
    model: str
    device: str
    call_ms: float
    p95_ms: float | None
    foretold_ms: float
    room: Mode
    sessions: int


@dataclass(frozen=True)
class LiveProcessRow(LiveProcess):
    """The same, as it was reported."""

    started_at: datetime
    heartbeat_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """The process as JSON fields."""
        times = {"started_at": self.started_at.isoformat(), "heartbeat_at": self.heartbeat_at.isoformat()}
        return {**asdict(self), **times}


def register_process(connection: Connection, process: LiveProcess) -> datetime:
    """Report that a process begins, in the place of one that had its name. Returns when, which tells the two apart."""
    now = func.clock_timestamp()
    columns = {**asdict(process), "started_at": now, "heartbeat_at": now}
    statement = insert(live_process).values(**columns).on_conflict_do_update(index_elements=["name"], set_=columns)
    started_at: datetime = connection.execute(statement.returning(live_process.c.started_at)).scalar_one()
    return started_at


def report_process(connection: Connection, process: LiveProcess, started_at: datetime) -> bool:
    """Report that a process is there, also where it had been forgotten. False where its name is another's now."""
    now = func.clock_timestamp()
    columns = {**asdict(process), "heartbeat_at": now}
    statement = (
        insert(live_process)
        .values(**columns, started_at=started_at)
        .on_conflict_do_update(index_elements=["name"], set_=columns, where=live_process.c.started_at == started_at)
    )
    is_there = connection.execute(statement.returning(live_process.c.name)).first() is not None
    connection.execute(delete(live_process).where(live_process.c.heartbeat_at < after(-_FORGOTTEN_S)))
    return is_there


def remove_process(connection: Connection, name: str, started_at: datetime) -> None:
    """Remove a process that takes no more sessions; one that has its name now stays."""
    connection.execute(delete(live_process).where(live_process.c.name == name, live_process.c.started_at == started_at))


def select_processes(connection: Connection) -> Sequence[LiveProcessRow]:
    """The processes that reported lately; those with room first, the one that will be fastest before others."""
    order = case({"full": 0, "hybrid": 1}, value=live_process.c.room, else_=2)
    rows = connection.execute(
        select(live_process)
        .where(live_process.c.heartbeat_at > after(-ALIVE_S))
        .order_by(order, live_process.c.foretold_ms, live_process.c.sessions, live_process.c.name)
    )
    return [LiveProcessRow(**{**row, "room": Mode(row["room"])}) for row in rows.mappings()]


def is_live_on(connection: Connection, machine: str) -> bool:
    """Whether a process of this machine has open sessions."""
    of = live_process.c
    return bool(
        connection.execute(
            select(exists().where(of.machine == machine, of.sessions > 0, of.heartbeat_at > after(-ALIVE_S)))
        ).scalar_one()
    )
