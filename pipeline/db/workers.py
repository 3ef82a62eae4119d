"""Workers: each process reports every few seconds that it is alive, and what it computes with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Connection, case, delete, func, literal, null, select, union_all, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.core.precision import Precision
from pipeline.core.states import ChunkState, ProxyState, RunState, VideoState
from pipeline.db.tables import chunk, proxy, run, video, worker
from pipeline.db.worker_deaths import note_started, record_replaced

#: A worker that has not reported for this long is gone.
ALIVE_S = 15.0

#: What a worker may hold, and in which state.
_LEASED = (
    (chunk, ChunkState.RUNNING),
    (run, RunState.FINISHING),
    (video, VideoState.STORED),
    (proxy, ProxyState.WANTED),
)


@dataclass(frozen=True)
class DeviceRow:
    """What a worker computes with, as its engine reports it, and the result of its check.

    Args:
        device: the processor's or GPU's name.
        engine: with its version.
        driver: of the device, empty where there is none.
        reason: why it computes there and on nothing faster.
        golden_ms: time of one frame with the bundled model on an idle worker.
    """

    device: str
    provider: str
    engine: str = ""
    driver: str = ""
    reason: str = ""
    golden_ms: float | None = None
    checked_at: datetime | None = None


@dataclass(frozen=True)
class WorkerRow:
    """One live worker process.

    Args:
        draining_at: since when it is to take nothing more.
        drained_at: since when it has done so and has nothing in hand.
        disk_low: why it takes in no videos; empty while it has room for them.
    """

    name: str
    pid: int
    slots: int
    version: str
    started_at: datetime
    precisions: tuple[Precision, ...]
    computes: DeviceRow
    draining_at: datetime | None = None
    drained_at: datetime | None = None
    disk_low: str = ""


@dataclass(frozen=True)
class LostWorker:
    """A worker that stopped reporting without having been stopped: killed, hung, or cut off.

    Args:
        silent_s: since `seen_at`, by the database's clock.
        leases: the videos, chunks and runs that it still holds.
    """

    name: str
    seen_at: datetime
    silent_s: float
    leases: int


def report_worker(
    connection: Connection,
    *,
    name: str,
    pid: int,
    slots: int,
    version: str,
    computes: DeviceRow,
    precisions: Sequence[Precision] = ("fp32",),
    disk_low: str = "",
    is_drained: bool = False,
    starts: bool = False,
    gone_s: float = ALIVE_S,
) -> bool:
    """Report that this worker is alive. Returns whether it is to take nothing more.

    Args:
        precisions: those in which it takes frames.
        disk_low: why it takes in no videos; empty while it has room for them.
        is_drained: whether it takes nothing more and has nothing in hand.
        starts: whether this is its first report; a worker of the same name may have been killed before.
        gone_s: after a longer silence it is taken to have been cut off.
    """
    if starts:
        record_replaced(connection, name)
        note_started(connection, name)
    columns = {"pid": pid, "slots": slots, "version": version, "precisions": list(precisions), "disk_low": disk_low}
    columns |= asdict(computes)
    now = func.clock_timestamp()
    statement = insert(worker).values(name=name, **columns, started_at=now, seen_at=now, reporting_since=now)
    renewed = {
        **columns,
        "seen_at": now,
        "drained_at": func.coalesce(worker.c.drained_at, now) if is_drained else null(),
        "reporting_since": case(
            (worker.c.seen_at > now - timedelta(seconds=gone_s), worker.c.reporting_since), else_=now
        ),
    }
    if starts:
        renewed |= {"started_at": now, "reporting_since": now, "draining_at": null()}
    reported = statement.on_conflict_do_update(index_elements=["name"], set_=renewed)
    return connection.execute(reported.returning(worker.c.draining_at)).scalar_one() is not None


def set_draining(connection: Connection, names: Sequence[str], *, draining: bool) -> list[str]:
    """Have workers take nothing more, or take work again. Returns those that this changed."""
    changed = update(worker).where(worker.c.name.in_(names)).returning(worker.c.name)
    if draining:
        changed = changed.where(worker.c.draining_at.is_(None)).values(draining_at=func.clock_timestamp())
    else:
        changed = changed.where(worker.c.draining_at.is_not(None)).values(draining_at=null(), drained_at=null())
    return list(connection.execute(changed).scalars())


def remove_worker(connection: Connection, name: str) -> None:
    """Remove a worker that has stopped."""
    connection.execute(delete(worker).where(worker.c.name == name))


def select_workers(connection: Connection) -> list[WorkerRow]:
    """The workers that reported lately."""
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
            draining_at=r.draining_at,
            drained_at=r.drained_at,
            disk_low=r.disk_low,
        )
        for r in rows
    ]


def select_lost_workers(connection: Connection) -> list[LostWorker]:
    """The workers that stopped reporting within the last day, the latest first."""
    now = func.clock_timestamp()
    leases = [
        select(func.count()).where(t.c.state == str(state), t.c.worker == worker.c.name, t.c.lease_token.is_not(None))
        for t, state in _LEASED
    ]
    rows = connection.execute(
        select(
            worker.c.name,
            worker.c.seen_at,
            func.extract("epoch", now - worker.c.seen_at).label("silent_s"),
            sum((each.scalar_subquery() for each in leases), literal(0)).label("leases"),
        )
        .where(
            worker.c.seen_at <= now - timedelta(seconds=ALIVE_S),
            worker.c.seen_at > now - timedelta(days=1),
        )
        .order_by(worker.c.seen_at.desc())
    )
    return [LostWorker(r.name, r.seen_at, float(r.silent_s), int(r.leases)) for r in rows]


def count_leases(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """How many videos, chunks and runs each of these workers has in hand; those without any are left out."""
    held = union_all(
        *(
            select(t.c.worker).where(t.c.state == str(state), t.c.worker.in_(names), t.c.lease_token.is_not(None))
            for t, state in _LEASED
        )
    ).subquery()
    rows = connection.execute(select(held.c.worker, func.count()).group_by(held.c.worker))
    return {row.worker: int(row[1]) for row in rows}


def delete_gone_workers(connection: Connection) -> int:
    """Delete workers that were killed more than a day ago."""
    return connection.execute(
        delete(worker).where(worker.c.seen_at < func.clock_timestamp() - timedelta(days=1))
    ).rowcount
