"""Who works: each worker process says every few seconds that it is there and on what device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.precision import Precision
from pipeline.db.tables import worker

#: A worker not seen for so long is gone.
ALIVE_S = 15.0


@dataclass(frozen=True)
class DeviceRow:
    """What a worker computes with, as its engine says, and what its check found.

    Args:
        device: the chip, for people.
        engine: with its version.
        driver: of the device, empty where there is none.
        why: it computes there and nowhere better.
        golden_ms: for a frame with the bundled model, alone.
    """

    device: str
    provider: str
    engine: str = ""
    driver: str = ""
    why: str = ""
    golden_ms: float | None = None
    checked_at: datetime | None = None


@dataclass(frozen=True)
class WorkerRow:
    """One live worker process."""

    name: str
    pid: int
    slots: int
    version: str
    started_at: datetime
    precisions: tuple[Precision, ...]
    computes: DeviceRow


def report_worker(
    connection: Connection,
    *,
    name: str,
    pid: int,
    slots: int,
    version: str,
    computes: DeviceRow,
    precisions: Sequence[Precision] = ("fp32",),
    starts: bool = False,
) -> None:
    """Say that this worker is alive.

    Args:
        precisions: in which it takes frames.
        starts: for the first time; one of the same name may have died without a word.
    """
    facts = {"pid": pid, "slots": slots, "version": version, "precisions": list(precisions), **asdict(computes)}
    now = func.clock_timestamp()
    statement = insert(worker).values(name=name, **facts, started_at=now, seen_at=now)
    renewed = {**facts, "seen_at": now, **({"started_at": now} if starts else {})}
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=renewed))


def remove_worker(connection: Connection, name: str) -> None:
    """This worker has stopped in good order."""
    connection.execute(delete(worker).where(worker.c.name == name))


def select_workers(connection: Connection) -> list[WorkerRow]:
    """The workers seen lately."""
    rows = connection.execute(
        select(worker)
        .where(worker.c.seen_at > func.clock_timestamp() - timedelta(seconds=ALIVE_S))
        .order_by(worker.c.name)
    )
    return [
        WorkerRow(
            name=r.name,
            pid=r.pid,
            slots=r.slots,
            version=r.version,
            started_at=r.started_at,
            precisions=tuple(r.precisions),
            computes=DeviceRow(*(getattr(r, f.name) for f in fields(DeviceRow))),
        )
        for r in rows
    ]


def delete_gone_workers(connection: Connection) -> int:
    """Forget workers that died without a word, a day later."""
    return connection.execute(
        delete(worker).where(worker.c.seen_at < func.clock_timestamp() - timedelta(days=1))
    ).rowcount
